"""Choosing the next token from one row of logits. A row is looked at by itself, so the batch cannot
change the choice.

Sampling inverts the cumulative distribution, in float64 and in a fixed order of tokens, at one
uniform number a token, which is a function of the request's seed and the token's place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.request import SamplingParams

__all__ = ["sample", "uniform"]

FIRST_LOOK = 1024  # most probable tokens that are sorted before the whole vocabulary is


def sample(logits: NDArray[np.float32], params: SamplingParams, step: int) -> int:
    """Token `step` of a completion, drawn from softmax(logits / temperature) cut to the smallest
    set that has top_p of the mass.
    """
    scaled = logits.astype(np.float64) / params.temperature
    weights = np.exp(scaled - scaled.max())
    ids = _nucleus(weights, params.top_p) if params.top_p < 1 else np.arange(weights.size)
    cumulative = np.cumsum(weights[ids])
    mass = uniform(params.seed, step) * cumulative[-1]
    return int(ids[min(int(np.searchsorted(cumulative, mass, side="right")), ids.size - 1)])


def uniform(seed: int, step: int) -> float:
    """Number in [0, 1) that depends on seed and step alone: no state to lose when a request is
    preempted. Philox is made for this (Salmon et al. 2011).
    """
    return float(np.random.Generator(np.random.Philox(key=seed, counter=step)).random())


def _nucleus(weights: NDArray[np.float64], top_p: float) -> NDArray[np.int64]:
    """Ids from the most probable down (smaller id first among equals) until their mass reaches
    top_p.
    """
    wanted = top_p * weights.sum()
    if weights.size > FIRST_LOOK:
        candidates = np.sort(np.argpartition(-weights, FIRST_LOOK)[:FIRST_LOOK])
        least = weights[candidates].min()
        candidates = candidates[
            weights[candidates] > least
        ]  # ties with the least may lie outside: leave them out
        if candidates.size and weights[candidates].sum() >= wanted:
            return _cut(weights, candidates, wanted)
    return _cut(weights, np.arange(weights.size), wanted)


def _cut(
    weights: NDArray[np.float64], candidates: NDArray[np.int64], wanted: float
) -> NDArray[np.int64]:
    order = candidates[np.argsort(-weights[candidates], kind="stable")]
    size = int(np.searchsorted(np.cumsum(weights[order]), wanted, side="left")) + 1
    return order[:size]
