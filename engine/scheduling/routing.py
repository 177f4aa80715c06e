"""Which of several copies of a model runs which request.

Knows requests and their tokens; nothing of processes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from engine.cache.kv_cache import BLOCK_SIZE
from engine.requests.request import Request

__all__ = ["route"]

CUT_SLACK = 0.05  # of one replica's work: how far a cut may move to keep a shared prefix whole


def route(requests: Sequence[Request], count: int) -> list[list[int]]:
    """Which requests each of `count` replicas runs, as places in `requests`.

    Sorted by their tokens, requests with a common prefix are neighbours. The sorted row is cut into
    pieces of equal work (tokens to run, shared ones once), and a cut moves a little to fall between
    requests that share fewer blocks. So a prefix is computed on one replica, or on the few that a
    cut divides, and the same requests go the same way in every call.
    """
    order = sorted(range(len(requests)), key=lambda place: requests[place].token_ids)
    ids = [requests[place].token_ids for place in order]
    shared = [0, *(_shared_tokens(a, b) for a, b in pairwise(ids)), 0]
    costs = [
        requests[place].max_length - tokens for place, tokens in zip(order, shared, strict=False)
    ]
    done = list(accumulate(costs, initial=0))
    slack = CUT_SLACK * done[-1] / count
    cuts = [0]
    for part in range(1, count):
        target = done[-1] * part / count
        first = max(bisect_left(done, target - slack), cuts[-1])
        near = range(first, max(bisect_right(done, target + slack), first + 1))
        cuts.append(min(near, key=lambda k: (shared[k], abs(done[k] - target))))
    # in the caller's order, as one engine would run them
    return [sorted(order[a:b]) for a, b in pairwise([*cuts, len(order)])]


def _shared_tokens(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common prefix, in whole blocks."""
    tokens = 0
    while (
        a[tokens : tokens + BLOCK_SIZE] == b[tokens : tokens + BLOCK_SIZE]
        and len(a) >= tokens + BLOCK_SIZE
    ):
        tokens += BLOCK_SIZE
    return tokens
