"""What an actor of Ray does that works in turns: hold the job, answer items a portion at a time.

The job comes with a call and not with the making of the actor, whose arguments a cluster keeps. An
actor that died and was started again knows nothing: it says so, and is told anew.
"""

from __future__ import annotations

import os
import pickle
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.errors import FlywheelError
from tasks.on_ray.build import differences
from tasks.on_ray.turns import Portion

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


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker, or why it is none (`wrong`)."""

    host: str
    pid: int
    wrong: str = ""


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


class WorkActor:
    """Made on a node of the cluster by working.py."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def hello(self, job: bytes, asked: Mapping[str, str]) -> Hello:
        """`job`: a Job in a pickle, `asked`: what has to be installed here."""
        wrong = ""
        if told := differences(asked):
            wrong = "; ".join(told)
        else:
            try:
                made: Job = pickle.loads(job)  # noqa: S301 - from whoever started us
                made.begin()
                self._worker = Worker(made)
            except FlywheelError as error:
                wrong = error.line()
        return Hello(platform.node(), os.getpid(), wrong)

    def begin(self, number: int, item: bytes, skip: int) -> Portion | None:
        """As Worker has it; None: there is no job."""
        return None if self._worker is None else self._worker.begin(number, item, skip)

    def next(self, number: int) -> Portion | None:
        return None if self._worker is None else self._worker.next(number)
