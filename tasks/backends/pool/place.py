"""Where engines run."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.on_ray.place import Place


@dataclass(frozen=True, slots=True)
class EnginesPlace(Place):
    """`rounds`: shards an actor has of one chunk."""

    rounds: int = 1
