"""What is said between this process, the one beside it that drives Ray, and the actors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.identity import EngineIdentity
from tasks.backends.base import Ask, Reply


@dataclass(frozen=True, slots=True)
class Model:
    """What every actor holds. `identity`: what its engine has to be, field by field; `digest`: what
    the model's files have to be there, empty where they are these very files."""

    path: Path
    batch_invariant: bool
    identity: EngineIdentity
    digest: str


@dataclass(frozen=True, slots=True)
class Start:
    """`address`: of a cluster; empty: a Ray of this machine alone, with its files in `folder`."""

    address: str
    folder: str


@dataclass(frozen=True, slots=True)
class Open:
    """Actors that hold a model, as a Place says."""

    model: Model
    cores: int
    max_actors: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Shards of places in `asks`. `spool`: where their replies are written down."""

    asks: tuple[Ask, ...]
    shards: tuple[tuple[int, ...], ...]
    spool: Path


@dataclass(frozen=True, slots=True)
class Close:
    """The actors end."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the cluster is."""


@dataclass(frozen=True, slots=True)
class Hello:
    """An actor, or why it cannot answer (`wrong`; `is_model`: by the fault of the model)."""

    host: str
    pid: int
    device: str
    load_s: float
    wrong: str = ""
    is_model: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    actors: tuple[Hello, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """Replies of a shard; `is_written`: they lie in the spool."""

    places: tuple[int, ...]
    replies: tuple[Reply, ...]
    is_written: bool


@dataclass(frozen=True, slots=True)
class Done:
    """All shards were answered or given up."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Nothing can be answered. `is_model`: by the fault of the model; `is_usage`: of the settings
    or the cluster, and no other moment cures it."""

    what: str
    is_model: bool = False
    is_usage: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """Of a cluster. `says`: what is installed there; empty where it did not answer in time."""

    name: str
    is_alive: bool
    num_cores: int
    num_gpus: int
    says: str


@dataclass(frozen=True, slots=True)
class Nodes:
    nodes: tuple[Node, ...]
