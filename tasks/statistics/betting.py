"""Bets on the mean of bounded differences: what has been won proves, whenever one looks.

For every candidate mean a gambler who starts with 1 bets that the true mean lies above it, and
another that it lies below. If the candidate is the true mean, or lies on the side that was bet on,
no bet gains on average, so the chance that a capital ever reaches 1 / error is at most that error:
after any number of looks, with any rule for when to stop (Ville's inequality). No assumption on the
shape of the distribution, its variance or the number of clusters. It is valid by construction; the
constants below only move its power.

A bet is on a cluster: on its weight times its mean difference. Assumes that the clusters are a
random sample of production's, met in an order that knows nothing of their differences.
Owns the bets and the confidence sequence; knows nothing of margins that matter, looks or releases.
Pure numpy. Papers: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by
betting", JRSS B 86 (2024); Ville (1939).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.model.comparison import Interval

Values = NDArray[np.float64]

#: what the first bets go by: imagined clusters of this mean square. These constants were chosen for
#: the power of an equal release at one pair in ten discordant, margins of 0.02 to 0.08 and 200 to
#: 2,000 samples, without much loss for unequal ones; see benchmarks/sequential.py
PRIOR_SQUARE = 0.1
PRIOR_CLUSTERS = 50
#: how many standard errors from 0 a mean is half believed, squared; nearer, bets go by equality
_HALF_BELIEVED = 4.0
#: the share of the capital that a heavy cluster can lose, and that any can. Heavy is the geometric
#: mean of the heaviest so far and the cluster of an average sample, for either alone had less power
_STAKE = 0.5
_MAX_STAKE = 0.95
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Bets:
    """What all bets so far have come to; enough to go on from.

    `max_weight`, the most that one cluster may weigh, and the candidate means [num_candidates],
    ascending, are declared before the first bet. `heaviest` is the largest w of a cluster so far,
    `moments` the sums over clusters of w, w², w·d, w²·d and w²·d²; w in shares of max_weight.
    above, below: [num_candidates] logarithms of the capital of who bets on a mean above and below
    the candidate; above_peak, below_peak: the largest they ever were.
    """

    max_weight: float
    candidates: tuple[float, ...]
    num_clusters: int
    heaviest: float
    moments: tuple[float, ...]
    above: tuple[float, ...]
    below: tuple[float, ...]
    above_peak: tuple[float, ...]
    below_peak: tuple[float, ...]


def no_bets(max_weight: float, tested: tuple[float, ...]) -> Bets:
    """Before the first cluster. The candidates are a grid in (-1, 1), of steps 0.0025 near 0, and
    the means in `tested` with their mirror images. Raises ValueError for a weight that is not
    positive and a tested mean outside (-1, 1)."""
    if not (math.isfinite(max_weight) and max_weight > 0):
        raise ValueError(f"the largest weight of a cluster must be positive, not {max_weight}")
    if not all(-1 < mean < 1 for mean in tested):
        raise ValueError(f"means of differences lie between -1 and 1, not at {tested}")
    positive = {step / 400 for step in range(1, 24)} | {step / 100 for step in range(6, 20)}
    positive |= {step / 20 for step in range(4, 20)} | {abs(mean) for mean in tested if mean}
    candidates = tuple(sorted({0.0} | positive | {-mean for mean in positive}))
    nothing = (0.0,) * len(candidates)
    return Bets(max_weight, candidates, 0, 0.0, (0.0,) * 5, nothing, nothing, nothing, nothing)


def bet(bets: Bets, differences: Values, weights: Values) -> Bets:
    """Bet on these clusters, one after the other in the order given.

    differences: [num_clusters] float64 in [-1, 1], the weighted mean of each cluster; weights:
    [num_clusters] float64 in (0, max_weight]. The order must not depend on the differences. To bet
    in two calls is the same, to the bit, as in one.

    Bets: what maximises the expected growth of the capital to second order (aGRAPA), with the mean
    and the mean square of the clusters before; a mean that is not far from 0 in standard errors is
    shrunk to 0, an equal release. Raises ValueError on a value outside its range: a heavier
    cluster than declared could lose more than was staked.
    """
    weights = weights / bets.max_weight
    # the sum of a cluster's weights may be off by rounding
    if not bool(((weights > 0) & (weights <= 1 + 1e-9)).all()):
        raise ValueError(
            f"a cluster weighs more than the declared {bets.max_weight}, or not more than 0: "
            f"{weights.min() * bets.max_weight} to {weights.max() * bets.max_weight}"
        )
    if not bool((np.abs(differences) <= 1).all()):
        raise ValueError("a mean difference of a cluster lies outside [-1, 1], or is not a number")
    for start in range(0, len(differences), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        bets = _bet_on(bets, differences[rows], np.minimum(weights[rows], 1.0))
    return bets


def _bet_on(bets: Bets, differences: Values, weights: Values) -> Bets:
    """As `bet`, of weights in (0, 1]; all at once, [num_clusters, num_candidates]."""
    parts = weights * differences
    terms = np.stack([weights, weights**2, parts, weights * parts, parts**2])
    totals = np.cumsum(np.column_stack([bets.moments, terms]), axis=1)
    heaviest = np.maximum.accumulate([bets.heaviest, *weights])
    stakes = _stakes(bets, totals[:, :-1], heaviest[:-1])
    candidates = np.array(bets.candidates)
    gains = np.log1p(stakes * (parts[:, None] - weights[:, None] * candidates))
    is_above = stakes > 0
    capital = {}
    for name, taken in (("above", is_above), ("below", ~is_above)):
        path = np.where(taken, gains, 0.0)
        path[0] += getattr(bets, name)
        np.cumsum(path, axis=0, out=path)
        capital[name] = tuple(path[-1].tolist())
        peak = np.maximum(getattr(bets, f"{name}_peak"), path.max(axis=0))
        capital[f"{name}_peak"] = tuple(peak.tolist())
    return Bets(
        bets.max_weight,
        bets.candidates,
        bets.num_clusters + len(differences),
        float(heaviest[-1]),
        tuple(totals[:, -1].tolist()),
        **capital,
    )


def _stakes(bets: Bets, before: Values, heaviest: Values) -> Values:
    """What is staked on each cluster at each candidate, positive on a mean above it:
    [num_clusters, num_candidates]; from the moments, [5, num_clusters], and the largest weight,
    [num_clusters], of the clusters before each."""
    candidates = np.array(bets.candidates)
    weight, weight2, total, total2, squares = before
    counts = bets.num_clusters + np.arange(len(weight))
    usual = np.where(counts > 0, weight / np.maximum(counts, 1), 1.0)
    scale = 1 / (counts + PRIOR_CLUSTERS)
    prior = PRIOR_CLUSTERS * usual**2
    mean_square = (squares + prior * PRIOR_SQUARE) * scale
    belief = total**2 / (total**2 + _HALF_BELIEVED * np.maximum(counts, 1) * mean_square)
    some_weight = np.where(counts > 0, weight, 1.0)
    mean = belief * total / some_weight
    # mean of (w (d - candidate))², a parabola in the candidate
    square = np.multiply.outer((weight2 + prior) * scale, candidates**2)
    square -= np.multiply.outer(2 * total2 * scale, candidates)
    square += mean_square[:, None]
    stakes: Values = usual[:, None] * (mean[:, None] - candidates) / square
    heavy = np.where(counts > 0, np.sqrt(heaviest * weight2 / some_weight), 1.0)
    most = np.minimum(_STAKE / heavy, _MAX_STAKE)[:, None]
    return np.clip(stakes, -most / (1 - candidates), most / (1 + candidates))


def confidence_sequence(bets: Bets, alpha: float) -> Interval:
    """Holds the true mean after every cluster so far and to come, with probability 1 - alpha.

    Each end errs with probability at most alpha / 2: the low one is the last candidate up to which
    who bet on a mean above once had 2 / alpha; the mean lies above it, so it is the next number
    after that candidate. -1 and 1 where nothing is proven. Narrows only; low > high says that the
    clusters did not have one mean. For few clusters wide, never wrong.
    """
    enough = math.log(2 / alpha)
    low = _proven(bets.above_peak, bets.candidates, enough)
    high = _proven(bets.below_peak[::-1], bets.candidates[::-1], enough)
    return Interval(
        -1.0 if low is None else math.nextafter(low, 1.0),
        1.0 if high is None else math.nextafter(high, -1.0),
    )


def p_value_of_loss(bets: Bets, value: float) -> float:
    """Of "the true mean is at least `value`", valid at every look (Ville): 1 / the most that who
    bet on a mean below it ever had. `value` is one of the candidates, else ValueError."""
    return math.exp(-max(0.0, bets.below_peak[bets.candidates.index(value)]))


def p_value_of_gain(bets: Bets, value: float) -> float:
    """Of "the true mean is at most `value`", as `p_value_of_loss`."""
    return math.exp(-max(0.0, bets.above_peak[bets.candidates.index(value)]))


def _proven(peaks: tuple[float, ...], candidates: tuple[float, ...], enough: float) -> float | None:
    """The last candidate before the first that is not disproven."""
    last = None
    for peak, candidate in zip(peaks, candidates, strict=True):
        if not peak >= enough:  # what is no number proves nothing
            break
        last = candidate
    return last
