"""What an actor of Ray does that works in turns: hold the job, answer items a portion at a time.

The job comes with a call and not with the making of the actor, whose arguments a cluster keeps. An
actor that died and was started again knows nothing: it says so, and is told anew.
"""

from __future__ import annotations

import os
import pickle
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.errors import FlywheelError
from tasks.on_ray.build import differences
from tasks.workers.job import Job, Worker
from tasks.workers.turns import Portion


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker, or why it is none (`wrong`)."""

    host: str
    pid: int
    wrong: str = ""


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
