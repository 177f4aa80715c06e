"""The paired difference of two releases on the same samples, with the interval the gate uses.

One sample, two scores, one difference: what both find hard cancels out. Owns the choice of the
interval by the kind of scores, and of the p value that is its dual; each part has its own module.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tasks.model.comparison import Comparison, Interval
from tasks.statistics.intervals import (
    ClusteredMean,
    HeavyLosses,
    Labels,
    Values,
    clustered_mean,
    floor_interval,
    floor_p_value,
    skewed_interval,
    skewed_p_value,
    t_interval,
    t_p_value,
    unseen_bound,
    wilson_interval,
)
from tasks.statistics.tango import tango_interval, tango_p_value

_SMALL = 100


@dataclass(frozen=True, slots=True)
class Pairs:
    """Differences of two releases' scores on the same samples, second - first, in [-1, 1].

    difference, weights: [num_pairs] float64, weights positive; clusters: [num_pairs] int64.
    `is_binary`: both scores of every pair are 0 or 1. draws: [num_pairs] float64, at least 1
    (`intervals.clustered_mean`); None: all 1. Raises ValueError on any other value: a NaN or a
    score of another scale would be averaged without a word.
    """

    difference: Values
    clusters: Labels
    weights: Values
    is_binary: bool
    draws: Values | None = None

    def __post_init__(self) -> None:
        size = len(self.difference)
        if not (len(self.clusters) == len(self.weights) == size):
            raise ValueError("differences, clusters and weights are not of one length")
        if not (np.abs(self.difference) <= 1).all():  # false for NaN too
            raise ValueError("a difference of scores is not within -1 and 1")
        if not ((self.weights > 0) & np.isfinite(self.weights)).all():
            raise ValueError("a weight is not a positive number")
        if self.draws is not None and not (
            len(self.draws) == size and ((self.draws >= 1) & np.isfinite(self.draws)).all()
        ):
            raise ValueError("draws are at least 1, one number a pair")

    @property
    def num_pairs(self) -> int:
        return len(self.difference)

    @property
    def is_weighted(self) -> bool:
        """Whether the pairs count differently."""
        return bool(np.ptp(self.weights) > 0)

    @property
    def is_comparable(self) -> bool:
        """Whether there can be an interval at all: two pairs or more, in two clusters or more."""
        return self.num_pairs >= 2 and bool(np.ptp(self.clusters) > 0)

    @property
    def num_won(self) -> int:
        return int((self.difference > 0).sum())

    @property
    def num_lost(self) -> int:
        return int((self.difference < 0).sum())

    def estimate(self) -> ClusteredMean:
        """Raises ValueError below two clusters."""
        return clustered_mean(self.difference, self.clusters, self.weights, self.draws)

    def swapped(self) -> Pairs:
        return replace(self, difference=-self.difference)


def compare(pairs: Pairs, alpha: float, unseen_loss: float) -> Comparison:
    """Weighted mean difference with a two-sided 1 - alpha interval.

    Estimator: the weighted mean of the differences. Interval: the hull of
    - for right/wrong scores of independent samples of equal weight, Tango's paired score interval;
    - for any other scores, clusters or weights, the cluster-robust t interval, as it is and
      corrected for skewness as far as an exact bound on heavy losses lets it reach, for clustered
      right/wrong scores of equal weight together with Tango's (clusters seldom make a set more
      informative);
    - always the floor that the effective number of clusters sets, so that a handful of equal
      differences is never certainty. `unseen_loss` is what is assumed of a cluster of many samples
      that was not seen (`intervals.unseen_bound`).
    Assumes independent clusters and scores in [0, 1]. Below about 100 clusters the t interval is
    approximate and the result says so. Raises ValueError below two pairs or two clusters.
    """
    if pairs.num_pairs < 2:
        raise ValueError(f"a comparison needs two pairs, there are {pairs.num_pairs}")
    estimate = pairs.estimate()
    bound = unseen_bound(estimate, unseen_loss, 1.0)
    interval = floor_interval(estimate, alpha, -bound, bound)
    if _has_tango(pairs):
        interval = interval.hull(
            tango_interval(pairs.num_won, pairs.num_lost, pairs.num_pairs, alpha)
        )
    if _has_t(pairs, estimate):
        skewed = skewed_interval(estimate, alpha)
        lost, won = _heavy(estimate, pairs), _heavy(estimate, pairs.swapped())
        bounded = Interval(
            max(skewed.low, lost.lowest_mean(alpha)), min(skewed.high, -won.lowest_mean(alpha))
        )
        interval = interval.hull(t_interval(estimate, alpha)).hull(bounded)
    return Comparison(
        difference=estimate.mean,
        interval=interval.clipped(-1.0, 1.0),
        effective_samples=min(estimate.effective_values, estimate.effective_clusters),
        method=_method(pairs, estimate),
    )


def p_value_of_loss(pairs: Pairs, value: float, unseen_loss: float) -> float:
    """One-sided p of "the true mean difference is at least `value`": small is evidence of a loss.

    The dual of `compare`: at most alpha / 2 exactly where the interval at 1 - alpha ends below
    `value`. For a gain, swap the pairs. Raises ValueError as `compare`.
    """
    estimate = pairs.estimate()
    return max(_p_values(pairs, estimate, value, unseen_bound(estimate, unseen_loss, 1.0)))


def release_interval(
    scores: Values, clusters: Labels, weights: Values, alpha: float, draws: Values | None = None
) -> Interval:
    """Interval of one release's mean score: Wilson for right/wrong scores of independent samples of
    equal weight, else cluster-robust t and the floor, within [0, 1]. Raises ValueError below two
    clusters."""
    estimate = clustered_mean(scores, clusters, weights, draws)
    independent = estimate.num_clusters == len(scores) and np.ptp(weights) == 0
    if independent and np.isin(scores, (0.0, 1.0)).all():
        return wilson_interval(float(scores.sum()), len(scores), alpha)
    wide = t_interval(estimate, alpha).hull(floor_interval(estimate, alpha, 0.0, 1.0))
    return wide.clipped(0.0, 1.0)


def _p_values(pairs: Pairs, estimate: ClusteredMean, value: float, bound: float) -> Iterator[float]:
    yield floor_p_value(estimate, value, bound)
    if _has_tango(pairs):
        yield tango_p_value(pairs.num_won, pairs.num_lost, pairs.num_pairs, value)
    if _has_t(pairs, estimate):
        yield t_p_value(estimate, value)
        yield min(
            skewed_p_value(estimate, value), _heavy(estimate, pairs.swapped()).p_value(-value)
        )


def _heavy(estimate: ClusteredMean, pairs: Pairs) -> HeavyLosses:
    return HeavyLosses.of(estimate, pairs.difference, pairs.clusters, pairs.weights)


def _has_tango(pairs: Pairs) -> bool:
    return pairs.is_binary and not pairs.is_weighted


def _has_t(pairs: Pairs, estimate: ClusteredMean) -> bool:
    return not _has_tango(pairs) or estimate.num_clusters < pairs.num_pairs


def _method(pairs: Pairs, estimate: ClusteredMean) -> str:
    clustered = estimate.num_clusters < pairs.num_pairs
    if estimate.standard_error == 0:
        name = "all differences equal: bound on what was not seen (rule of three)"
    elif _has_tango(pairs) and not clustered:
        name = "paired score interval (Tango)"
    else:
        name = "weighted paired differences" if pairs.is_weighted else "paired differences"
        name += ", cluster-robust t" if clustered else ", Student's t"
        name += ", at least Tango's width" if _has_tango(pairs) else ""
    small = estimate.effective_clusters < _SMALL
    return name + (f"; fewer than {_SMALL} independent clusters: approximate" if small else "")
