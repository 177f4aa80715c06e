"""What is said between this process and the one beside it that drives Ray, whatever the work."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, ClassVar, Protocol


class Pool(Protocol):
    """Actors, as the process that drives Ray has them."""

    def open(self) -> object:
        """Start them; what the opener is answered."""
        ...

    def handle(self, message: Any, pipe: Connection) -> None:
        """What is said to them, answered through the pipe as its message says."""
        ...

    def close(self) -> None:
        """They end."""
        ...


class Opener:
    """A message that opens a pool of its own kind; answered by what the pool says, or Trouble.
    `POOL`: `module:class` of that. It knows Ray, so it is named and not imported by whoever says
    the message."""

    __slots__ = ()
    POOL: ClassVar[str]

    def pool(self) -> Pool:
        module, _, name = self.POOL.partition(":")
        pool: Pool = getattr(import_module(module), name)(self)
        return pool


@dataclass(frozen=True, slots=True)
class Start:
    """`address`: of a cluster; empty: a Ray of this machine alone, with its files in `folder`."""

    address: str
    folder: str


@dataclass(frozen=True, slots=True)
class Close:
    """The actors end."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the cluster is."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was asked is done."""


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
