"""Actors that work in turns, as the process that drives Ray has them: a thread for each asks it."""

from __future__ import annotations

import threading
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

import ray

from tasks.on_ray.actor import Hello, WorkActor
from tasks.on_ray.told import OPEN_S, look_up, one_line, room_for, told
from tasks.on_ray.work import Give, Next, OpenWork, Ready
from tasks.workers.trouble import Trouble
from tasks.workers.turns import Portion, Turn, Turns

#: bytes of answers that wait here
_MAX_BYTES = 384 * 2**20
#: one process takes what so many bring
_MAX_ACTORS = 32
#: seconds until we go on with those that are there
_PATIENCE_S = 60.0
_LOOK_UP_EVERY_S = 0.5


class _GoneError(Exception):
    """It was started again, and knows nothing."""


class WorkPool:
    """Actors of one job."""

    def __init__(self, wanted: OpenWork) -> None:
        self._wanted = wanted
        self._actors: list[Any] = []
        self._turns = Turns(0, _MAX_BYTES)

    def open(self) -> Ready | Trouble:
        room, cores = room_for(self._wanted.cores)
        number = min(room, self._wanted.max_actors or _MAX_ACTORS)
        if not number:
            return Trouble("none of its nodes has a processor for us", is_usage=bool(ray.nodes()))
        made = ray.remote(max_restarts=-1, max_task_retries=0, num_cpus=cores)(WorkActor)
        actors = {self._greeted(actor): actor for actor in (made.remote() for _ in range(number))}
        ready, waiting = ray.wait(list(actors), num_returns=number, timeout=_PATIENCE_S)
        if not ready:
            ready, waiting = ray.wait(waiting, num_returns=1, timeout=OPEN_S)
        self._actors = [actors[answer] for answer in ready]
        for answer in waiting:  # others have its place
            ray.kill(actors[answer])
        if not ready:
            return Trouble(f"no actor was ready after {OPEN_S:.0f} s: the cluster has no room")
        for answer in ready:
            hello = told(answer)
            if not isinstance(hello, Hello):
                return Trouble(one_line(hello))
            if hello.wrong:
                return Trouble(f"on {hello.host}: {hello.wrong}", is_usage=True)
        self._turns = Turns(len(self._actors), _MAX_BYTES)
        for actor in self._actors:
            threading.Thread(target=self._drive, args=(actor,), daemon=True).start()
        return Ready(len(self._actors))

    def handle(self, message: Any, pipe: Connection) -> None:
        if isinstance(message, Give):
            self._turns.give(message.item)
            return
        assert isinstance(message, Next), message
        while (answer := self._turns.next(_LOOK_UP_EVERY_S)) is None:
            look_up(pipe)
        pipe.send(answer)

    def close(self) -> None:
        self._turns.end()
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []

    def _greeted(self, actor: Any) -> Any:
        return actor.hello.remote(self._wanted.job, self._wanted.build)

    def _drive(self, actor: Any) -> None:
        """Turn after turn, by one actor."""
        turns = self._turns
        try:
            while (turn := turns.take()) is not None:
                try:
                    self._work(actor, turn)
                except ray.exceptions.RayTaskError:  # whoever gave it meets it again
                    turns.give_up(turn)
                except (ray.exceptions.RayError, _GoneError) as error:
                    turns.died(turn, one_line(error))
                    if not self._is_back(actor):
                        turns.lost()
                        return
        except Exception as error:  # of Ray, which is not there any more
            turns.fail(Trouble(one_line(error) or type(error).__name__))

    def _work(self, actor: Any, turn: Turn) -> None:
        asked = deque([actor.begin.remote(turn.number, turn.item, turn.skip)])
        while True:
            # it works at the next while we take this one
            asked.append(actor.next.remote(turn.number))
            portion: Portion | None = ray.get(asked.popleft())
            if portion is None:
                raise _GoneError("an actor was started again")
            if not self._turns.put(turn, portion):
                return

    def _is_back(self, actor: Any) -> bool:
        """Whether it was started again; on another node, where something else is installed, it
        ends all."""
        greeting = actor.hello.options(max_task_retries=-1)
        answer = greeting.remote(self._wanted.job, self._wanted.build)
        if not ray.wait([answer], timeout=_PATIENCE_S)[0]:
            return False
        hello = told(answer)
        if isinstance(hello, Hello) and hello.wrong:
            self._turns.fail(Trouble(f"on {hello.host}: {hello.wrong}", is_usage=True))
        return isinstance(hello, Hello) and not hello.wrong
