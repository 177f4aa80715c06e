"""Where engines run, as a value that changes no answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = "here"
#: a Ray of this machine alone, which begins and ends with what needs it
RAY = "ray"


@dataclass(frozen=True, slots=True)
class Place:
    """As [evaluate] says. `cores`: of an actor without a GPU; `max_actors` 0: as many as fit;
    `rounds`: shards an actor has of one chunk; `home`: the state folder, for Ray's log."""

    on: str = HERE
    cores: int = 1
    max_actors: int = 0
    rounds: int = 1
    home: Path = Path()

    @property
    def is_here(self) -> bool:
        return self.on == HERE

    @property
    def address(self) -> str:
        """Of a cluster; empty for this machine."""
        return "" if self.on in (HERE, RAY) else self.on
