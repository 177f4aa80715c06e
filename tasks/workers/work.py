"""Work that is given to workers and comes back in the order given, for a stage."""

from __future__ import annotations

import io
import pickle
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from tasks.workers.turns import Portion

Item = TypeVar("Item")

#: items that a worker has before it
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Told(Generic[Item]):
    """Some answers about an item. `is_last`: all of them; `is_given_up`: but for those that no
    worker could give."""

    item: Item
    answers: list[Any]
    is_last: bool
    is_given_up: bool


class Work(ABC):
    """Workers that do one job, for the length of a `with` block."""

    num_workers: int

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def _give(self, item: bytes) -> None:
        """One more item, in a pickle."""

    @abstractmethod
    def _next(self) -> Portion | None:
        """Of the first item of which not all was told; None: nobody works any more."""

    def through(self, items: Iterable[Item]) -> Iterator[Told[Item]]:
        """What the workers say of every item, in order; a few are given ahead."""
        source = iter(items)
        given: deque[Item] = deque()
        while True:
            while len(given) <= _AHEAD * self.num_workers:
                try:
                    item = next(source)
                except StopIteration:
                    break
                self._give(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
                given.append(item)
            if not given:
                return
            portion = self._next()
            if portion is None:
                yield Told(given.popleft(), [], is_last=True, is_given_up=True)
            elif portion.is_last:
                yield Told(given.popleft(), _unpickled(portion), True, portion.is_given_up)
            else:
                yield Told(given[0], _unpickled(portion), False, False)


def named_count(num_workers: int) -> str:
    """For the line that tells progress."""
    return f"{num_workers} {'worker' if num_workers == 1 else 'workers'}"


def _unpickled(portion: Portion) -> list[Any]:
    source = io.BytesIO(portion.data)
    return [pickle.load(source) for _ in range(portion.num_answers)]  # noqa: S301 - our own workers
