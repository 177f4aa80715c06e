"""Actors that hold engines, as the process that drives Ray has them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import ray

from engine.identity import EngineIdentity
from tasks.backends.base import Reply
from tasks.backends.pool.actor import EngineActor, answering_digest
from tasks.backends.pool.dispatch import MAX_DEATHS_IN_A_ROW, Dispatch, Shard
from tasks.backends.pool.messages import Answer, Given, Hello, Open, Opened
from tasks.model.failure import Failure
from tasks.on_ray.messages import Done
from tasks.on_ray.told import OPEN_S, look_up, one_line, room_for, told
from tasks.workers.trouble import Trouble

_LOOK_UP_EVERY_S = 0.5


class EnginePool:
    """Actors of one model."""

    def __init__(self, wanted: Open) -> None:
        self._actors: list[Any] = []
        self._wanted = wanted

    def open(self) -> Opened | Trouble:
        wanted = self._wanted
        if not any(node["Alive"] for node in ray.nodes()):
            return Trouble("none of its nodes is alive")
        number, resources = _placing(wanted.model.identity, wanted.cores)
        number = min(number, wanted.max_actors or number)
        if not number:
            device = wanted.model.identity.device_class
            return Trouble(f"no node of the cluster has a device for it ({device})", is_usage=True)
        made = ray.remote(max_restarts=-1, max_task_retries=0, **resources)(EngineActor)
        answering = answering_digest()
        actors = [made.remote(wanted.model, answering) for _ in range(number)]
        asked = {actor.hello.remote(): actor for actor in actors}
        ready, waiting = ray.wait(list(asked), num_returns=number, timeout=OPEN_S)
        hellos: list[Hello] = []
        for answer in ready:
            hello = told(answer)
            if isinstance(hello, Hello):
                self._actors.append(asked[answer])
            else:
                hello = Hello("", 0, "", 0.0, one_line(hello))
            hellos.append(hello)
        for answer in waiting:  # others have its place; those that are there answer
            ray.kill(asked[answer])
        if wrong := next((hello for hello in hellos if hello.wrong), None):
            self.close()
            where = f"on {wrong.host} ({wrong.device}): " if wrong.device else ""
            is_other = bool(wrong.device)
            return Trouble(where + wrong.wrong, is_model=wrong.is_model, is_usage=is_other)
        if not hellos:
            self.close()
            return Trouble(f"no actor was ready after {OPEN_S:.0f} s: the cluster has no room")
        return Opened(tuple(hellos))

    def answer(
        self, asked: Answer, say: Callable[[Given], None], look_up: Callable[[], None]
    ) -> Done | Trouble:
        """`say` is called with the replies of each shard, `look_up` every moment."""
        dispatch = Dispatch(asked.shards, len(self._actors))
        under_way: dict[Any, tuple[int, Shard]] = {}
        returning: dict[Any, int] = {}
        idle = set(range(len(self._actors)))
        heard_at = time.monotonic()
        while not dispatch.is_done:
            for number in sorted(idle):
                if shard := dispatch.take(number):
                    asks = tuple(asked.asks[place] for place in shard.places)
                    call = self._actors[number].answer
                    under_way[call.remote(shard.places, asks, asked.spool)] = number, shard
                    idle.remove(number)
            look_up()
            if under_way:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > OPEN_S:
                return Trouble("the actors died, and no node of the cluster has room for them")
            waited = [*under_way, *returning]
            for answer in ray.wait(waited, timeout=_LOOK_UP_EVERY_S)[0]:
                if answer in returning:
                    number = returning.pop(answer)
                    hello = told(answer)
                    if isinstance(hello, Hello) and not hello.wrong:
                        idle.add(number)
                    elif isinstance(hello, Hello):  # it came back on another node
                        return Trouble(hello.wrong, is_usage=True)
                    continue
                number, shard = under_way.pop(answer)
                given = told(answer)
                if isinstance(given, Given):
                    dispatch.finished()
                    idle.add(number)
                    say(given)
                    continue
                if not isinstance(given, ray.exceptions.RayActorError):
                    return Trouble(one_line(given))
                returns = self._actors[number].hello.options(max_task_retries=-1)
                returning[returns.remote()] = number
                why = one_line(given)
                if lost := dispatch.died(shard):
                    say(Given(lost, tuple(_given_up(why) for _ in lost), False))
                if (times := dispatch.num_deaths_in_a_row) > MAX_DEATHS_IN_A_ROW:
                    return Trouble(f"actors died {times} times in a row: {why}")
        return Done()

    def handle(self, message: Any, pipe: Connection) -> None:
        assert isinstance(message, Answer), message
        pipe.send(self.answer(message, pipe.send, partial(look_up, pipe)))

    def close(self) -> None:
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []


def _given_up(why: str) -> Reply:
    """For the moment: the next run asks again."""
    failure = Failure("actor_died", f"actors died that were asked it: {why}", "harness", True)
    return Reply(None, "error", None, None, None, failure)


def _placing(identity: EngineIdentity, cores: int) -> tuple[int, dict[str, Any]]:
    """How many actors there is room for, and what of a node each takes."""
    if identity.device_class == "cuda":
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return sum(int(node.get("GPU", 0)) for node in nodes), {"num_gpus": 1, "num_cpus": 1}
    number, each = room_for(cores)
    return number, {"num_cpus": each}
