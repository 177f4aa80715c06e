"""Where things come from and what stood on them: a graph whose edges go the way the data went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "log_file", "dead_letter", "arrival", "held", "feedback", "request", "suite", "sample",
    "eval_set", "model", "prompt", "release", "completion", "score", "run", "alias",
]  # fmt: skip
#: what people call one of the kind, and several
KINDS: Mapping[Kind, tuple[str, str]] = {
    "log_file": ("log file", "log files"),
    "dead_letter": ("dead letter", "dead letters"),
    "arrival": ("call not judged yet", "calls not judged yet"),
    "held": ("held row", "held rows"),
    "feedback": ("feedback", "signals of feedback"),
    "request": ("request", "requests"),
    "suite": ("suite", "suites"),
    "sample": ("sample", "samples"),
    "eval_set": ("eval set", "eval sets"),
    "model": ("model", "models"),
    "prompt": ("prompts", "prompts"),
    "release": ("release", "releases"),
    "completion": ("completion", "completions"),
    "score": ("score", "scores"),
    "run": ("run", "runs"),
    "alias": ("alias", "aliases"),
}
#: up: what it came from; down: what stood on it
Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Key:
    """One thing of the store. The id of a completion is release, sample and seed, that of a score
    those and the scorer, joined by colons."""

    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Link:
    """How things of two kinds hang together. One that is not followed ends a way: it leads along a
    history (the set before, the night before), of which the next step is shown and no more."""

    source: Kind
    target: Kind
    relation: str
    is_followed: bool = True

    def ends(self, direction: Direction) -> tuple[Kind, Kind]:
        """The kind it is entered by, and the one it leads to."""
        return (self.source, self.target) if direction == "down" else (self.target, self.source)


@dataclass(frozen=True, slots=True)
class Edge:
    """`relation` is read from source to target; `note`: the line, the part that it played."""

    source: Key
    target: Key
    relation: str
    note: str = ""

    def ends(self, direction: Direction) -> tuple[Key, Key]:
        """The end it is entered by, and the other one."""
        return (self.source, self.target) if direction == "down" else (self.target, self.source)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """`far` hangs on `near`, as one of `total` by the same link."""

    near: str
    far: str
    note: str
    total: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many neighbours of a kind are not shown."""

    near: Key
    kind: Kind
    relation: str
    number: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """All that was found from `root` in one direction, edges nearer to it first. `nodes`: key →
    what the store knows of it."""

    root: Key
    direction: Direction
    nodes: Mapping[Key, Mapping[str, Any]]
    edges: tuple[Edge, ...]
    left_out: tuple[LeftOut, ...] = ()
