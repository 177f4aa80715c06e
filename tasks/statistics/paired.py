"""The paired difference of two releases on the same samples, with the interval the gate uses.

One sample, two scores, one difference: what both find hard cancels out. Owns the choice of the
interval by the kind of scores; each part has its own module. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.model.comparison import Comparison, Interval
from tasks.statistics.intervals import (
    ClusteredMean,
    Labels,
    Values,
    clustered_mean,
    floor_interval,
    minimum_detectable_effect,
    skewed_interval,
    t_interval,
    t_p_value,
    wilson_interval,
)
from tasks.statistics.mcnemar import exact_p_value, mid_p_value, tango_interval


@dataclass(frozen=True, slots=True)
class Pairs:
    """Scores of two releases on the same samples, in [0, 1].

    first, second, difference: [num_pairs] float64. `difference` is second - first, except where a
    missing answer forbids that it speaks for the second. clusters: [num_pairs] int64.
    """

    first: Values
    second: Values
    difference: Values
    clusters: Labels

    @property
    def num_pairs(self) -> int:
        return len(self.difference)

    @property
    def num_clusters(self) -> int:
        return len(np.unique(self.clusters))

    @property
    def is_binary(self) -> bool:
        """Whether every pair is right or wrong on both sides."""
        return bool(np.isin(self.difference, (-1.0, 0.0, 1.0)).all()) and all(
            bool(np.isin(scores, (0.0, 1.0)).all()) for scores in (self.first, self.second)
        )

    @property
    def num_won(self) -> int:
        return int((self.difference > 0).sum())

    @property
    def num_lost(self) -> int:
        return int((self.difference < 0).sum())

    def swapped(self) -> Pairs:
        return Pairs(self.second, self.first, -self.difference, self.clusters)


def compare(pairs: Pairs, alpha: float) -> Comparison:
    """Mean difference with a two-sided 1 - alpha interval.

    Estimator: the mean of the differences. Interval: the hull of
    - for right/wrong scores of independent samples, Tango's paired score interval;
    - for any other scores, or clustered samples, the cluster-robust t interval, as it is and
      corrected for skewness, for clustered right/wrong scores together with Tango's (clusters
      seldom make a set more informative);
    - always the floor that the effective number of clusters sets, so that a handful of equal
      differences is never certainty.
    Assumes independent clusters and scores in [0, 1]. Below about 100 clusters the t interval is
    approximate and the result says so. Raises ValueError below two pairs or two clusters.
    """
    if pairs.num_pairs < 2:
        raise ValueError(f"a comparison needs two pairs, there are {pairs.num_pairs}")
    estimate = clustered_mean(pairs.difference, pairs.clusters)
    return Comparison(
        difference=estimate.mean,
        interval=_interval(pairs, estimate, alpha),
        p_value=_p_value(pairs, estimate),
        correlation=correlation(pairs.first, pairs.second),
        min_detectable_effect=minimum_detectable_effect(estimate, alpha),
        method=_method(pairs, estimate),
    )


def release_interval(scores: Values, clusters: Labels, alpha: float) -> Interval:
    """Interval of one release's mean score: Wilson for right/wrong scores of independent samples,
    else cluster-robust t and the floor, within [0, 1]. Raises ValueError below two clusters."""
    estimate = clustered_mean(scores, clusters)
    if estimate.num_clusters == len(scores) and np.isin(scores, (0.0, 1.0)).all():
        return wilson_interval(float(scores.sum()), len(scores), alpha)
    wide = t_interval(estimate, alpha).hull(floor_interval(estimate, alpha, 0.0, 1.0))
    return wide.clipped(0.0, 1.0)


def correlation(first: Values, second: Values) -> float | None:
    """Pearson correlation of the paired scores; None where one side does not vary."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))


def _interval(pairs: Pairs, estimate: ClusteredMean, alpha: float) -> Interval:
    wide = floor_interval(estimate, alpha, -1.0, 1.0)
    if pairs.is_binary:
        wide = wide.hull(tango_interval(pairs.num_won, pairs.num_lost, pairs.num_pairs, alpha))
    if not pairs.is_binary or estimate.num_clusters < pairs.num_pairs:
        wide = wide.hull(t_interval(estimate, alpha)).hull(skewed_interval(estimate, alpha))
    return wide.clipped(-1.0, 1.0)


def _p_value(pairs: Pairs, estimate: ClusteredMean) -> float:
    """Two-sided p of "no difference": mid-p McNemar, or the cluster-robust t; where all differences
    are equal, a sign test on the clusters."""
    if pairs.is_binary and estimate.num_clusters == pairs.num_pairs:
        return mid_p_value(pairs.num_won, pairs.num_lost)
    if estimate.standard_error > 0:
        return t_p_value(estimate)
    if estimate.mean == 0:
        return 1.0
    return exact_p_value(int(estimate.effective_clusters), 0)


def _method(pairs: Pairs, estimate: ClusteredMean) -> str:
    clustered = estimate.num_clusters < pairs.num_pairs
    if estimate.standard_error == 0:
        name = "all differences equal: bound on what was not seen (rule of three)"
    elif pairs.is_binary and not clustered:
        name = "paired score interval (Tango), mid-p McNemar"
    elif clustered:
        name = "paired differences, cluster-robust t"
        name += ", at least Tango's width" if pairs.is_binary else ""
    else:
        name = "paired differences, Student's t"
    small = estimate.effective_clusters < 100
    return name + ("; fewer than 100 independent clusters: approximate" if small else "")
