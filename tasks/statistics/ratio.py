"""The ratio of two releases' means on the same samples, for measures without an upper end.

Tokens and cost have no scale from 0 to 1, so what may be lost is relative: the challenger may use
so many percent more. Owns the estimator, its interval and the p value that is its dual. Pure; knows
no measure, no suite and no release.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tasks.model.comparison import Interval, Ratio
from tasks.statistics.intervals import (
    FEWEST_CLUSTERS,
    ClusteredMean,
    Labels,
    Values,
    clustered_mean,
    floor_p_value,
    skewed_p_value,
    t_p_value,
)

_SMALL = 100
#: as far from the ratio an end of the interval is sought, relative to it
_DISTANCES = 4.0 ** np.arange(-8, 9)
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measure came to for two releases on the same samples; every value is 0 or more.

    champion, challenger, weights: [num_pairs] float64, weights positive; clusters: [num_pairs]
    int64; draws: [num_pairs] float64, at least 1 (`intervals.clustered_mean`), None: all 1. Raises
    ValueError on any other value.
    """

    champion: Values
    challenger: Values
    clusters: Labels
    weights: Values
    draws: Values | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.champion), len(self.challenger), len(self.clusters), len(self.weights)}
        if len(sizes) != 1:
            raise ValueError("values, clusters and weights are not of one length")
        for values in (self.champion, self.challenger):
            if not ((values >= 0) & np.isfinite(values)).all():  # false for NaN too
                raise ValueError("a measured value is not a number of at least 0")
        if not ((self.weights > 0) & np.isfinite(self.weights)).all():
            raise ValueError("a weight is not a positive number")
        if self.draws is not None and not (self.draws >= 1).all():
            raise ValueError("draws are at least 1")

    def mean(self, values: Values) -> ClusteredMean:
        """Of [num_pairs] values that go with the pairs."""
        return clustered_mean(values, self.clusters, self.weights, self.draws)

    @property
    def num_pairs(self) -> int:
        return len(self.weights)

    @property
    def num_clusters(self) -> int:
        return len(np.unique(self.clusters))

    @property
    def is_comparable(self) -> bool:
        """Whether anything can be said: six effective clusters, and a champion that uses any."""
        if self.num_clusters < 2 or not self.champion.any():
            return False
        return self.mean(self.champion).effective_clusters >= FEWEST_CLUSTERS

    def swapped(self) -> Measured:
        return replace(self, champion=self.challenger, challenger=self.champion)

    def by_cluster(self) -> Measured:
        """A cluster as one pair of its means, which weighs what its samples weigh together: no test
        of a mean here can tell it from them, unless they are worth draws of their own."""
        if self.draws is not None and (self.draws > 1).any():
            return self
        _, index = np.unique(self.clusters, return_inverse=True)
        weights: Values = np.bincount(index, weights=self.weights).astype(np.float64)
        champion, challenger = (
            np.bincount(index, weights=self.weights * values) / weights
            for values in (self.champion, self.challenger)
        )
        return Measured(champion, challenger, np.arange(len(weights)), weights)


def compare_ratio(pairs: Measured, alpha: float) -> Ratio | None:
    """Weighted mean of the challenger over that of the champion, with a two-sided 1 - alpha
    interval: all ratios r of which "challenger - r · champion has mean 0" is not rejected. Where
    the test is Student's, that is Fieller's theorem.

    The test is the strictest of
    - the cluster-robust t test, as it is and corrected for skewness (Hall 1992): token counts have
      heavy tails, on which Student's alone passes too often;
    - the floor: a share of clusters of a kind that none showed may exist (`unseen_share`). Their
      values have no bound, so what is assumed of them is that their mean exceeds what r allows by
      no more than the champion's mean: they may use about twice as much. So identical answers pass
      a margin of 0.1 from 39 clusters on (alpha 0.05), and no sooner.
    None below six effective clusters, or where the champion's mean is 0. The upper end is infinite
    where the champion's mean cannot be told from 0. Swapped arms give the inverse interval. Assumes
    independent clusters; below about 100 of them it is approximate, and says so.
    Papers: Fieller, "Some problems in interval estimation", JRSS B 16 (1954); Hauschke, Kieser &
    Hothorn, "Proof of safety in toxicology based on the ratio of two means" (1999).
    """
    if not pairs.is_comparable:
        return None
    clusters = pairs.by_cluster()
    lowest = _highest_ratio(clusters.swapped(), alpha)
    estimate = pairs.mean(pairs.champion)
    effective = min(estimate.effective_values, estimate.effective_clusters)
    return Ratio(
        ratio=_ratio(clusters),
        interval=Interval(1 / lowest, _highest_ratio(clusters, alpha)),
        effective_samples=effective,
        method=_method(pairs, estimate),
    )


def p_value_of_less(pairs: Measured, ratio: float) -> float:
    """One-sided p of "the true ratio is at least `ratio`": small is evidence that it is less.

    The dual of `compare_ratio`: at most alpha / 2 where the interval at 1 - alpha ends below. For
    more, swap the pairs and ask for 1 / ratio. 1 where nothing can be said.
    """
    return _p_value(pairs.by_cluster(), ratio) if pairs.is_comparable else 1.0


def _p_value(clusters: Measured, ratio: float) -> float:
    excess = clusters.challenger - ratio * clusters.champion
    scale = clusters.challenger.max() + ratio * clusters.champion.max()
    excess[np.abs(excess) <= _ROUNDING * scale] = 0.0
    estimate = clusters.mean(excess)
    allowed = float(np.average(clusters.champion, weights=clusters.weights))
    return max(
        floor_p_value(estimate, 0.0, allowed),
        t_p_value(estimate, 0.0),
        skewed_p_value(estimate, 0.0),
    )


def _highest_ratio(clusters: Measured, alpha: float) -> float:
    """The largest ratio that is not rejected, infinite where ever larger ones are not. Looked for
    in coarse steps first, as the test that corrects for skewness may waver far out."""
    from scipy.optimize import brentq

    centre = _ratio(clusters)
    if not math.isfinite(centre):
        return math.inf

    def beyond(ratio: float) -> float:
        return _p_value(clusters, ratio) - alpha / 2

    steps = [centre, *(centre + max(centre, 1.0) * _DISTANCES)]
    last = max(place for place, step in enumerate(steps) if place == 0 or beyond(step) > 0)
    if last == len(steps) - 1:
        return math.inf
    return float(brentq(beyond, steps[last], steps[last + 1], xtol=_ROUNDING, rtol=_ROUNDING))


def _ratio(clusters: Measured) -> float:
    champion, challenger = (
        math.fsum(clusters.weights * values) for values in (clusters.champion, clusters.challenger)
    )
    return challenger / champion if champion else math.inf


def _method(pairs: Measured, estimate: ClusteredMean) -> str:
    is_clustered = estimate.num_clusters < pairs.num_pairs
    name = "ratio of means (Fieller), " + ("cluster-robust t" if is_clustered else "Student's t")
    small = estimate.effective_clusters < _SMALL
    return name + (f"; fewer than {_SMALL} independent clusters: approximate" if small else "")
