"""The process that drives Ray: `python -m tasks.on_ray.host FD`, started by driver.py.

A driver of Ray is ended by it, without a word to the program, when the cluster's head is gone; so
it is not the process that holds the run. Whatever becomes of it, the other one goes on and says so.
It ends with its starter, which keeps the writing end of our standard input and never writes.

What its actors do is told by the message that opens them, which knows the pool of its kind.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import ray

from tasks.on_ray.messages import Close, Done, Look, Node, Nodes, Opener, Pool, Start
from tasks.on_ray.told import one_line, why_not_started
from tasks.processes import num_cores
from tasks.workers.trouble import Trouble

#: bytes: asks and replies of a few chunks; Ray takes no less than 75 MiB
_OBJECT_STORE_BYTES = 128 * 2**20
#: of a processor, whose actor has two portions of rows under way
_OBJECT_STORE_BYTES_A_CORE = 32 * 2**20
_LOOK_S = 30.0
_START_TRIES = 3
#: without a word from the starter, whose next work would find Ray ready
_IDLE_S = 60.0
_GRACE_S = 10.0


def start_ray(start: Start) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if start.address:
        ray.init(address=start.address, **quiet)
        return
    cores = num_cores()
    for tries_left in reversed(range(_START_TRIES)):
        try:
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=max(_OBJECT_STORE_BYTES, cores * _OBJECT_STORE_BYTES_A_CORE),
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
                said = "" if "imeout" in type(error).__name__ else f"! {one_line(error)}"
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


def _serve(pipe: Connection) -> None:
    pool: Pool | None = None
    try:
        start: Start = pipe.recv()
        try:
            start_ray(start)
        except Exception as error:  # of whatever kind Ray has for it
            pipe.send(Trouble(why_not_started(error)))
            return
        pipe.send(Done())
        while pipe.poll(None if pool else _IDLE_S):
            message = pipe.recv()
            if isinstance(message, Opener | Close) and pool is not None:
                pool.close()
                pool = None
            if isinstance(message, Opener):
                pool = message.pool()
                pipe.send(pool.open())
            elif isinstance(message, Look):
                pipe.send(look())
            elif not isinstance(message, Close):
                assert pool is not None, "it was opened"
                pool.handle(message, pipe)
    except (EOFError, OSError):  # the starter is gone
        pass
    finally:
        if pool is not None:
            pool.close()
        ray.shutdown()


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
