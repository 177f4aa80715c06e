"""Work that is given to actors of Ray and comes back in the order given, for a stage."""

from __future__ import annotations

import io
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, TypeVar

from tasks.errors import FlywheelError, UsageError
from tasks.on_ray.actor import Job
from tasks.on_ray.build import build
from tasks.on_ray.driver import TroubleError, cannot, opened
from tasks.on_ray.messages import Opener, Pool, Trouble
from tasks.on_ray.place import Place
from tasks.on_ray.turns import Portion

Item = TypeVar("Item")

#: items that an actor has before it
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class OpenWork(Opener):
    """Actors that do a job, as a Place says; answered by Ready. `build`: what has to be installed
    where they are."""

    job: bytes = field(repr=False)
    build: Mapping[str, str]
    cores: int
    max_actors: int

    def pool(self) -> Pool:
        from tasks.on_ray.working import WorkPool  # Ray, which is driven there alone

        return WorkPool(self)


@dataclass(frozen=True, slots=True)
class Ready:
    num_workers: int


@dataclass(frozen=True, slots=True)
class Give:
    """One more item, in a pickle; answered by nothing."""

    item: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Next:
    """Answered by a Portion of the first item of which not all was told."""


@dataclass(frozen=True, slots=True)
class Told(Generic[Item]):
    """Some answers about an item. `is_last`: all of them; `is_given_up`: but for those that no
    worker could give."""

    item: Item
    answers: list[Any]
    is_last: bool
    is_given_up: bool


class Work:
    """Actors that do one job, for the length of a `with` block.

    Raises UsageError where the cluster or what is installed there does not fit, FlywheelError where
    Ray does not answer any more.
    """

    def __init__(self, place: Place, job: Job) -> None:
        self._place = place
        wanted = OpenWork(_pickled(job), build(job.packages), place.cores, place.max_actors)
        try:
            self._driver, ready = opened(place, wanted, Ready)
        except TroubleError as error:
            raise self._as_error(error.trouble) from None
        self.num_workers: int = ready.num_workers
        self._is_amid = False

    def __enter__(self) -> Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        if self._is_amid:  # half of a message was said, or an answer comes that nobody waits for
            self._driver.end()
        else:
            self._driver.close()

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
                self._is_amid = True
                self._driver.send(Give(_pickled(item)))
                self._is_amid = False
                given.append(item)
            if not given:
                return
            portion = self._next()
            if portion.is_last:
                yield Told(given.popleft(), _unpickled(portion), True, portion.is_given_up)
            else:
                yield Told(given[0], _unpickled(portion), False, False)

    def _next(self) -> Portion:
        self._is_amid = True
        try:
            portion: Portion = self._driver.ask(Next(), Portion)
        except TroubleError as error:
            raise self._as_error(error.trouble) from None
        self._is_amid = False
        return portion

    def _as_error(self, trouble: Trouble) -> FlywheelError:
        if not trouble.is_usage:
            return cannot(self._place, trouble)
        return UsageError(
            f"the cluster cannot work for this command: {trouble.what}",
            allowed="the same program, Python and packages on all nodes and where the command is "
            "given",
            next=f'give the command on a node like the others, or set {self._place.key} = "here"',
        )


def named_count(num_workers: int) -> str:
    """For the line that tells progress."""
    return f"{num_workers} {'worker' if num_workers == 1 else 'workers'}"


def _pickled(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _unpickled(portion: Portion) -> list[Any]:
    source = io.BytesIO(portion.data)
    return [pickle.load(source) for _ in range(portion.num_answers)]  # noqa: S301 - our own actors
