"""The process that drives Ray: `python -m tasks.backends.pool.host FD`, started by backend.py.

A driver of Ray is ended by it, without a word to the program, when the cluster's head is gone; so
it is not the process that holds the run. Whatever becomes of it, the other one goes on and says so.
It ends with its starter, which keeps the writing end of our standard input and never writes.
"""

from __future__ import annotations

import os
import sys
import threading
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
from tasks.backends.pool.messages import (
    Answer,
    Close,
    Done,
    Given,
    Hello,
    Look,
    Node,
    Nodes,
    Open,
    Opened,
    Start,
    Trouble,
)
from tasks.model.failure import Failure

#: bytes: asks and replies of a few chunks; Ray takes no less than 75 MiB
_OBJECT_STORE_BYTES = 128 * 2**20
#: until every actor is there and has its model
_OPEN_S = 900.0
_LOOK_S = 30.0
_LOOK_UP_EVERY_S = 0.5
_START_TRIES = 3
#: without a word from the starter, whose next model would find Ray ready
_IDLE_S = 60.0
_GRACE_S = 10.0


class Pool:
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
        ready, waiting = ray.wait(list(asked), num_returns=number, timeout=_OPEN_S)
        hellos: list[Hello] = []
        for told in ready:
            hello = _told(told)
            if isinstance(hello, Hello):
                self._actors.append(asked[told])
            else:
                hello = Hello("", 0, "", 0.0, _one_line(hello))
            hellos.append(hello)
        for told in waiting:  # others have its place; those that are there answer
            ray.kill(asked[told])
        if wrong := next((hello for hello in hellos if hello.wrong), None):
            self.close()
            where = f"on {wrong.host} ({wrong.device}): " if wrong.device else ""
            is_other = bool(wrong.device)
            return Trouble(where + wrong.wrong, is_model=wrong.is_model, is_usage=is_other)
        if not hellos:
            self.close()
            return Trouble(f"no actor was ready after {_OPEN_S:.0f} s: the cluster has no room")
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
            elif time.monotonic() - heard_at > _OPEN_S:
                return Trouble("the actors died, and no node of the cluster has room for them")
            waited = [*under_way, *returning]
            for told in ray.wait(waited, timeout=_LOOK_UP_EVERY_S)[0]:
                if told in returning:
                    number = returning.pop(told)
                    hello = _told(told)
                    if isinstance(hello, Hello) and not hello.wrong:
                        idle.add(number)
                    elif isinstance(hello, Hello):  # it came back on another node
                        return Trouble(hello.wrong, is_usage=True)
                    continue
                number, shard = under_way.pop(told)
                given = _told(told)
                if isinstance(given, Given):
                    dispatch.finished()
                    idle.add(number)
                    say(given)
                    continue
                if not isinstance(given, ray.exceptions.RayActorError):
                    return Trouble(_one_line(given))
                returns = self._actors[number].hello.options(max_task_retries=-1)
                returning[returns.remote()] = number
                why = _one_line(given)
                if lost := dispatch.died(shard):
                    say(Given(lost, tuple(_given_up(why) for _ in lost), False))
                if (times := dispatch.num_deaths_in_a_row) > MAX_DEATHS_IN_A_ROW:
                    return Trouble(f"actors died {times} times in a row: {why}")
        return Done()

    def close(self) -> None:
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []


def _told(answer: Any) -> Any:
    """What an actor said, or the error of Ray."""
    try:
        return ray.get(answer)
    except ray.exceptions.RayError as error:
        return error


def _given_up(why: str) -> Reply:
    """For the moment: the next run asks again."""
    failure = Failure("actor_died", f"actors died that were asked it: {why}", "harness", True)
    return Reply(None, "error", None, None, None, failure)


def _placing(identity: EngineIdentity, cores: int) -> tuple[int, dict[str, Any]]:
    """How many actors there is room for, and what of a node each takes."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if identity.device_class == "cuda":
        return sum(int(node.get("GPU", 0)) for node in nodes), {"num_gpus": 1, "num_cpus": 1}
    most = max((int(node.get("CPU", 0)) for node in nodes), default=0)
    each = max(1, min(cores, most))
    return sum(int(node.get("CPU", 0)) // each for node in nodes), {"num_cpus": each}


def _start(start: Start) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if start.address:
        ray.init(address=start.address, **quiet)
        return
    for tries_left in reversed(range(_START_TRIES)):
        try:
            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                configure_logging=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=start.folder,
                **quiet,
            )
            return
        except Exception:  # a bare one, where a busy machine takes more than Ray's 30 s
            ray.shutdown()
            if not tries_left:
                raise


def look() -> Nodes:
    """The nodes, and what an engine there would be; one that does not say within a while is told
    as such."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    says = ray.remote(num_cpus=0, max_retries=0)(node_says)
    nodes = ray.nodes()
    asked = {
        node["NodeID"]: says.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
        if node["Alive"]
    }
    deadline = time.monotonic() + _LOOK_S
    told: list[Node] = []
    for node in nodes:
        said = ""
        if answer := asked.get(node["NodeID"]):
            try:
                said = ray.get(answer, timeout=max(0.1, deadline - time.monotonic()))
            except ray.exceptions.RayError as error:
                said = "" if "imeout" in type(error).__name__ else f"! {_one_line(error)}"
        has = node["Resources"]
        name = node["NodeManagerHostname"] or node["NodeManagerAddress"]
        cores, gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
        told.append(Node(name, bool(node["Alive"]), cores, gpus, said))
    return Nodes(tuple(told))


def node_says() -> str:
    """Runs on a node: what is installed there that decides over answers."""
    from importlib.metadata import version

    import engine

    return f"engine {engine.__version__}, torch {version('torch')}, ray {version('ray')}"


def _why_not_started(error: BaseException) -> str:
    """Ray's head forks while gRPC is at work in it, and what it forks dies of that now and then:
    https://github.com/ray-project/ray/issues/63202."""
    if "Starting Ray client server failed" in str(error):
        return (
            "the server that its head starts for each client died (ray#63202), which it does not "
            "where the head has GRPC_ENABLE_FORK_SUPPORT=0 in its environment"
        )
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _serve(pipe: Connection) -> None:
    pool: Pool | None = None
    try:
        start: Start = pipe.recv()
        try:
            _start(start)
        except Exception as error:  # of whatever kind Ray has for it
            pipe.send(Trouble(_why_not_started(error)))
            return
        pipe.send(Done())
        while pipe.poll(None if pool else _IDLE_S):
            message = pipe.recv()
            if isinstance(message, Open):
                pool = Pool(message)
                pipe.send(pool.open())
            elif isinstance(message, Answer):
                assert pool is not None, "it was opened"
                pipe.send(pool.answer(message, pipe.send, partial(_look_up, pipe)))
            elif isinstance(message, Close) and pool is not None:
                pool.close()
                pool = None
            elif isinstance(message, Look):
                pipe.send(look())
    except (EOFError, OSError):  # the starter is gone
        pass
    finally:
        if pool is not None:
            pool.close()
        ray.shutdown()


def _look_up(pipe: Connection) -> None:
    """Nothing is said to us while we answer: what comes is the end."""
    if pipe.poll(0):
        raise EOFError


def _end_with_starter() -> None:
    """Ray's own processes end with this one, its actors with them."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    time.sleep(_GRACE_S)
    os._exit(1)


def main() -> None:
    number = int(sys.argv[1])
    os.set_inheritable(number, False)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    _serve(Connection(number))


if __name__ == "__main__":
    main()
