"""Where work is done that may be done elsewhere, as a value that changes no result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = "here"
#: a Ray of this machine alone, which begins and ends with what needs it
RAY = "ray"


@dataclass(frozen=True, slots=True)
class Place:
    """`cores`: of an actor without a GPU; `max_actors` 0: as many as fit; `home`: the state folder,
    for Ray's log; `key`: the setting that says where, for messages."""

    on: str = HERE
    cores: int = 1
    max_actors: int = 0
    home: Path = Path()
    key: str = "evaluate.on"

    @property
    def is_here(self) -> bool:
        return self.on == HERE

    @property
    def address(self) -> str:
        """Of a cluster; empty for this machine."""
        return "" if self.on in (HERE, RAY) else self.on


def checked(on: str) -> str:
    """Raises ValueError where it is no place."""
    if on in (HERE, RAY) or re.fullmatch(r"ray://[^\s/@]+:[0-9]+", on):
        return on
    raise ValueError("it is here, ray, or the address of a cluster, ray://HOST:10001")


def missing_packages(on: str) -> tuple[str, ...]:
    """Which a place needs that are not installed."""
    if on == HERE:
        return ()
    needed = ("ray", "grpc") if "://" in on else ("ray",)
    return tuple(package for package in needed if find_spec(package) is None)
