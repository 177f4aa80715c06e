"""A job that workers do, and one of them at it: an item at a time, answered a portion at a time."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from tasks.workers.turns import Portion

#: of one portion; its last answer may make it longer
_PORTION_BYTES = 4 * 2**20


class Job(Protocol):
    """What is done to each item, by a worker that may be anywhere."""

    @property
    def packages(self) -> Sequence[str]:
        """Whose versions decide over the answers."""
        ...

    def begin(self) -> None:
        """Raises FlywheelError where it cannot be done there."""
        ...

    def answers(self, item: Any) -> Iterator[Any]:
        """The same for the same item, whoever is asked."""
        ...


class Worker:
    """One job, an item at a time."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._number = -1
        self._answers: Iterator[Any] = iter(())

    def begin(self, number: int, item: bytes, skip: int) -> Portion:
        """The first portion of an item behind `skip` answers."""
        self._number = number
        self._answers = self._job.answers(pickle.loads(item))  # noqa: S301 - from who started us
        for _ in range(skip):
            next(self._answers, None)
        return self._portion()

    def next(self, number: int) -> Portion | None:
        """The portion behind it; None: the item is not the one at work."""
        return self._portion() if number == self._number else None

    def _portion(self) -> Portion:
        # each in a pickle of its own: what it holds is measured by what it takes
        pickles: list[bytes] = []
        num_bytes = 0
        for answer in self._answers:
            pickles.append(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
            num_bytes += len(pickles[-1])
            if num_bytes >= _PORTION_BYTES:
                return Portion(b"".join(pickles), len(pickles), is_last=False)
        self._number = -1
        return Portion(b"".join(pickles), len(pickles), is_last=True)
