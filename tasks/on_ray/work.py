"""Work by actors of Ray, as a stage has it, or by processes of this machine."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.errors import FlywheelError, UsageError
from tasks.on_ray.build import build
from tasks.on_ray.driver import TroubleError, cannot, opened
from tasks.on_ray.messages import Opener
from tasks.on_ray.place import Place
from tasks.workers.here import WorkHere
from tasks.workers.job import Job
from tasks.workers.trouble import Trouble
from tasks.workers.turns import Portion
from tasks.workers.work import Work


@dataclass(frozen=True, slots=True)
class OpenWork(Opener):
    """Actors that do a job, as a Place says; answered by Ready. `build`: what has to be installed
    where they are."""

    job: bytes = field(repr=False)
    build: Mapping[str, str]
    cores: int
    max_actors: int

    POOL = "tasks.on_ray.working:WorkPool"


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


class WorkOnRay(Work):
    """Raises UsageError where the cluster or what is installed there does not fit, FlywheelError
    where Ray does not answer any more."""

    def __init__(self, place: Place, job: Job) -> None:
        self._place = place
        data = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
        wanted = OpenWork(data, build(job.packages), place.cores, place.max_actors)
        try:
            self._driver, ready = opened(place, wanted, Ready)
        except TroubleError as error:
            raise self._as_error(error.trouble) from None
        self.num_workers: int = ready.num_workers
        self._is_amid = False

    def __exit__(self, *_: object) -> None:
        if self._is_amid:  # half of a message was said, or an answer comes that nobody waits for
            self._driver.end()
        else:
            self._driver.close()

    def _give(self, item: bytes) -> None:
        self._is_amid = True
        self._driver.send(Give(item))
        self._is_amid = False

    def _next(self) -> Portion | None:
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


def work_at(place: Place, num_here: int, job: Job) -> Work:
    """By so many processes where the place is here."""
    return WorkHere(num_here, job) if place.is_here else WorkOnRay(place, job)
