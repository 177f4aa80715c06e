"""What every pool of actors asks of Ray, in the process that drives it."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

import ray

#: seconds until actors are there and have what they hold
OPEN_S = 900.0


def told(answer: Any) -> Any:
    """What an actor said, or the error of Ray."""
    try:
        return ray.get(answer)
    except ray.exceptions.RayError as error:
        return error


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def why_not_started(error: BaseException) -> str:
    """Ray's head forks while gRPC is at work in it, and what it forks dies of that now and then:
    https://github.com/ray-project/ray/issues/63202."""
    if "Starting Ray client server failed" in str(error):
        return (
            "the server that its head starts for each client died (ray#63202), which it does not "
            "where the head has GRPC_ENABLE_FORK_SUPPORT=0 in its environment"
        )
    return one_line(error)


def room_for(cores: int) -> tuple[int, int]:
    """How many actors of so many processors fit on the nodes that are there, and how many each
    then has."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    each = max(1, min(cores, max(nodes, default=0)))
    return sum(node // each for node in nodes), each


def look_up(pipe: Connection) -> None:
    """Nothing is said to us while we answer: what comes is the end."""
    if pipe.poll(0):
        raise EOFError
