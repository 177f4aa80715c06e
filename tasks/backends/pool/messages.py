"""What is said of engines between this process, the one beside it that drives Ray, and the
actors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.identity import EngineIdentity
from tasks.backends.base import Ask, Reply
from tasks.on_ray.messages import Opener


@dataclass(frozen=True, slots=True)
class Model:
    """What every actor holds. `identity`: what its engine has to be, field by field; `digest`: what
    the model's files have to be there, empty where they are these very files."""

    path: Path
    batch_invariant: bool
    identity: EngineIdentity
    digest: str


@dataclass(frozen=True, slots=True)
class Open(Opener):
    """Actors that hold a model, as a Place says."""

    model: Model
    cores: int
    max_actors: int

    POOL = "tasks.backends.pool.engines:EnginePool"


@dataclass(frozen=True, slots=True)
class Answer:
    """Shards of places in `asks`. `spool`: where their replies are written down."""

    asks: tuple[Ask, ...]
    shards: tuple[tuple[int, ...], ...]
    spool: Path


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
