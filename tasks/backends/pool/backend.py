"""A model that actors of Ray hold, as a Backend of this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from engine import EngineError
from tasks.backends.base import Ask, BackendFacts, Meter, OnReply, Pace
from tasks.backends.pool.cutting import cut, shard_name
from tasks.backends.pool.messages import Answer, Given, Hello, Model, Open, Opened
from tasks.backends.pool.place import EnginesPlace
from tasks.backends.pool.spool import write_shard
from tasks.errors import UsageError
from tasks.on_ray.driver import TroubleError, cannot, opened
from tasks.on_ray.messages import Done
from tasks.workers.trouble import Trouble


class PoolBackend:
    """Raises EngineError where the model cannot be used, UsageError where the cluster is another
    than the release was resolved for, FlywheelError where Ray does not answer."""

    def __init__(self, place: EnginesPlace, model: Model) -> None:
        self._place = place
        started = time.monotonic()
        wanted = Open(model, place.cores, place.max_actors)
        try:
            self._driver, told = opened(place, wanted, Opened)
        except TroubleError as error:
            raise _as_error(place, error.trouble) from None
        self._actors: tuple[Hello, ...] = told.actors
        self._identity = model.identity
        self._load_s = time.monotonic() - started
        self._run_s = 0.0

    def pace(self, chunk_size: int, *, is_looked_at: bool) -> Pace:
        # the spool has each shard at once; the place knows of the looks
        size = chunk_size * len(self._actors) * self._place.rounds
        return Pace(size, size)

    def answer(self, asks: Sequence[Ask], on_reply: OnReply, meter: Meter) -> None:
        started = time.monotonic()
        spool = meter.spool()
        shards = tuple(cut(asks, len(self._actors), self._place.rounds))
        try:
            for given in self._told(Answer(tuple(asks), shards, spool)):
                if not given.is_written:
                    name = shard_name([asks[place] for place in given.places])
                    write_shard(spool, name, given.places, given.replies)
                for place, reply in zip(given.places, given.replies, strict=True):
                    on_reply(place, reply)
        except TroubleError as error:
            self._driver.end()
            raise _as_error(self._place, error.trouble) from None
        except BaseException:
            self._driver.end()
            raise
        finally:
            self._run_s += time.monotonic() - started

    def facts(self) -> BackendFacts:
        identity = self._identity
        return BackendFacts(
            identity.device_class, identity.dtype, self._load_s, self._run_s, len(self._actors)
        )

    def close(self) -> None:
        self._driver.close()

    def _told(self, asked: Answer) -> Iterator[Given]:
        """One a shard."""
        self._driver.send(asked)
        while not isinstance(given := self._driver.receive(), Done):
            assert isinstance(given, Given)
            yield given


def _as_error(place: EnginesPlace, trouble: Trouble) -> Exception:
    if trouble.is_model:
        return EngineError(trouble.what)
    if trouble.is_usage:
        return UsageError(
            "the cluster cannot answer for this release, whose answers are kept as those of the "
            f"engine here: {trouble.what}",
            allowed="one device class, one build and one set of packages on all nodes and "
            "where the command is given",
            next='give the command on a node like the others, or set evaluate.on = "here"',
        )
    return cannot(place, trouble)
