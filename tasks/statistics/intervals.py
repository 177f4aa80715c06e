"""Intervals for a mean: of independent values, of clustered and weighted values, of a share.

Owns one-sample intervals, the floor under every interval, and for each the p value that is its
dual: an interval at 1 - alpha lies above a value exactly where the one-sided p value of "the mean
is at most that" is below alpha / 2. Pure numpy, scipy for quantiles (imported late). Values in,
values out; knows nothing of suites or releases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.model.comparison import Interval

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
#: below this the cubic transformation is the identity, but for rounding
_NO_SKEW = 1e-6
#: of the largest value: a smaller standard error is none
_ROUNDING = 1e-13
#: how small a loss is taken for none where heavy ones are counted
_LIGHT_LOSSES = (0.0, 0.02, 0.1)
#: signs of fewer independent clusters than this cannot be significant: 1/2^5 > 0.025 (but for
#: rounding)
FEWEST_CLUSTERS = 6 - 1e-9


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """A weighted mean with its cluster-robust standard error.

    `effective_values` and `effective_clusters`: how many single draws of equal weight would be
    worth as much. `degrees_of_freedom` is what the t distribution is taken with, `skewness` that of
    the mean.
    """

    mean: float
    standard_error: float
    num_values: int
    num_clusters: int
    effective_values: float
    effective_clusters: float
    degrees_of_freedom: float
    skewness: float


def clustered_mean(
    values: Values,
    clusters: Labels,
    weights: Values | None = None,
    draws: Values | None = None,
) -> ClusteredMean:
    """Mean of [num_values] float64 whose labels [num_values] int64 say which belong together.

    Estimator: Σ w x / Σ w; sandwich standard error with CR1 correction G / (G - 1), that is
    sqrt(G / (G - 1) · Σ_g (Σ_i∈g w_i (x_i - mean))²) / Σ w. With equal weights and clusters of one
    value each it is the usual s / sqrt(n). Assumes independent clusters, nothing within them.
    Raises ValueError below two clusters: there is no standard error then, least of all zero.

    `draws` [num_values] float64, at least 1: a value that was drawn k times (a question of which k
    conversations were logged, each of which would have brought this same value) is k independent
    draws of the weight w / k, so its residual counts w / sqrt(k); values of one cluster are added
    as if entirely dependent. G is then the number of draws.

    Small G: t with min(G*, G°) - 1 degrees of freedom (at least 1), where with v_g the variance
    that cluster g brings if all residuals are alike, G* = (Σ w)² / Σ v_g is the effective number of
    clusters and G° = (Σ v_g)² / Σ (v_g² / k_g) Satterthwaite's.
    Papers: Liang & Zeger (1986); Miller, "Adding error bars to evals" (2024); Carter, Schnepel &
    Steigerwald (2017) for the effective number of clusters; Kish (1965) for weights; Satterthwaite
    (1946); Särndal, Swensson & Wretman, "Model assisted survey sampling" (1992, ch. 9) for the
    draws: variance of a two-phase sample.
    """
    w = np.ones(len(values)) if weights is None else weights
    _, index = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(index, weights=w)
    num_clusters = len(sizes)
    if num_clusters < 2:
        raise ValueError(f"a standard error needs two clusters, there are {num_clusters}")
    total = math.fsum(w)
    mean = math.fsum(w * values) / total
    root = 1.0 if draws is None else np.sqrt(draws)
    shares = np.bincount(index, weights=w / root)
    sums: Values = np.bincount(index, weights=w * (values - mean) / root).astype(np.float64)
    cluster_draws = (sizes / shares) ** 2
    num_draws = math.fsum(cluster_draws)
    squares = math.fsum(sums**2)
    variance = num_draws / (num_draws - 1) * squares / total**2
    effective = total**2 / math.fsum(shares**2)
    satterthwaite = math.fsum(shares**2) ** 2 / math.fsum(shares**4 / cluster_draws)
    error = math.sqrt(variance)
    # what rounding leaves where all values are equal, or cancel within their clusters
    is_constant = error <= _ROUNDING * float(np.abs(values).max())
    return ClusteredMean(
        mean=mean,
        standard_error=0.0 if is_constant else error,
        num_values=len(values),
        num_clusters=num_clusters,
        effective_values=total**2 / math.fsum((w / root) ** 2),
        effective_clusters=effective,
        degrees_of_freedom=max(1.0, min(effective, satterthwaite) - 1.0),
        skewness=0.0 if is_constant else math.fsum(sums**3 / np.sqrt(cluster_draws)) / squares**1.5,
    )


def labels_of(names: Sequence[str]) -> Labels:
    """[num_names] int64: equal names have equal labels, 0 and up in the order of the names."""
    # in the order given, which is often sorted already
    place = {name: number for number, name in enumerate(sorted(dict.fromkeys(names)))}
    return np.fromiter(map(place.__getitem__, names), dtype=np.int64, count=len(names))


def t_interval(estimate: ClusteredMean, alpha: float) -> Interval:
    """mean ± t(1 - alpha / 2) · SE. Assumes a roughly normal mean; see `floor_interval` for when
    it is not. Paper: Student (1908); cluster-robust use: Cameron & Miller (2015)."""
    from scipy.special import stdtrit

    half = float(stdtrit(estimate.degrees_of_freedom, 1 - alpha / 2)) * estimate.standard_error
    return Interval(estimate.mean - half, estimate.mean + half)


def skewed_interval(estimate: ClusteredMean, alpha: float) -> Interval:
    """The t interval corrected for skewness by Hall's cubic transformation.

    A few heavy losses among many small differences skew the mean, and Student's interval then
    ends too early on their side: it would miss a loss beyond the margin several times as often as
    it says. With skewness 0 it is the t interval. Estimated skewness is noisy and too small for few
    clusters, so this is used as a hull with the t interval and the floor, never alone; and of one
    to four heavy losses it makes too much, so it reaches no further than `HeavyLosses`.
    Paper: Hall, "On the removal of skewness by transformation", JRSS B 54 (1992).
    """
    from scipy.special import stdtrit

    quantile = float(stdtrit(estimate.degrees_of_freedom, 1 - alpha / 2))
    skew = estimate.skewness

    def inverse(z: float) -> float:
        if abs(skew) < _NO_SKEW:
            return z
        return 3 / skew * (float(np.cbrt(1 + skew * (z - skew / 6))) - 1)

    return Interval(
        estimate.mean - inverse(quantile) * estimate.standard_error,
        estimate.mean - inverse(-quantile) * estimate.standard_error,
    )


def t_p_value(estimate: ClusteredMean, value: float) -> float:
    """One-sided p of "the mean is at least `value`" by Student's interval: small where it ends
    below it."""
    from scipy.special import stdtr

    if estimate.standard_error == 0:
        return 0.0 if estimate.mean < value else 1.0
    t = (estimate.mean - value) / estimate.standard_error
    return float(stdtr(estimate.degrees_of_freedom, t))


def skewed_p_value(estimate: ClusteredMean, value: float) -> float:
    """The same by Hall's interval."""
    from scipy.special import stdtr

    if estimate.standard_error == 0:
        return t_p_value(estimate, value)
    t = (estimate.mean - value) / estimate.standard_error
    skew = estimate.skewness
    hall = t if abs(skew) < _NO_SKEW else ((1 + skew * t / 3) ** 3 - 1) / skew + skew / 6
    return float(stdtr(estimate.degrees_of_freedom, hall))


@dataclass(frozen=True, slots=True)
class HeavyLosses:
    """How many clusters lose more than each of `_LIGHT_LOSSES`, in effective clusters: an exact
    bound on the mean of values of at least -1, far below it where losses are many and small.

    A share q of clusters that lose more than c each leaves a mean of at least -c - q · (1 - c), and
    so many or fewer of them have a chance given by q (Clopper & Pearson 1934, shared by Bonferroni
    among the c). It only limits how far a correction for skewness reaches: by Hall's alone four
    heavy losses would be worse than five.
    """

    counts: tuple[float, ...]
    effective_clusters: float

    @classmethod
    def of(
        cls, estimate: ClusteredMean, values: Values, clusters: Labels, weights: Values
    ) -> HeavyLosses:
        _, index = np.unique(clusters, return_inverse=True)
        sizes = np.bincount(index, weights=weights)
        means = np.bincount(index, weights=weights * values) / sizes
        effective = estimate.effective_clusters
        # rounding must not make a loss of nothing
        shares = ((sizes[means < -light - 1e-12].sum() / sizes.sum()) for light in _LIGHT_LOSSES)
        return cls(tuple(float(share) * effective for share in shares), effective)

    def lowest_mean(self, alpha: float) -> float:
        """The lower end at the two-sided error rate alpha."""
        from scipy.special import betaincinv

        level = 1 - alpha / 2 / len(_LIGHT_LOSSES)
        bounds = []
        for light, count in zip(_LIGHT_LOSSES, self.counts, strict=True):
            others = self.effective_clusters - count
            share = 1.0 if others <= 0 else float(betaincinv(count + 1, others, level))
            bounds.append(-light - share * (1 - light))
        return max(bounds)

    def p_value(self, value: float) -> float:
        """One-sided p of "the mean is at most `value`", the dual."""
        from scipy.special import betainc

        chances = [1.0]
        for light, count in zip(_LIGHT_LOSSES, self.counts, strict=True):
            share, others = (-value - light) / (1 - light), self.effective_clusters - count
            if 0 < share < 1 and others > 0:
                chances.append(float(betainc(others, count + 1, 1 - share)))
        return min(1.0, len(_LIGHT_LOSSES) * min(chances))


def unseen_share(effective_clusters: float, alpha: float) -> float:
    """Largest share of cases of a kind that none of these clusters showed.

    1 - (alpha / 2)^(1 / G): with a larger share, seeing none in G independent draws has a chance
    below alpha / 2. For alpha = 0.05 about 3.7 / G ("rule of three": 3 / G one-sided). Exact for
    equal clusters. Papers: Hanley & Lippman-Hand, "If nothing goes wrong, is everything all
    right?", JAMA 249 (1983); Clopper & Pearson (1934).
    """
    return float(1 - (alpha / 2) ** (1 / effective_clusters))


def unseen_bound(estimate: ClusteredMean, unseen_loss: float, most: float) -> float:
    """By how much an unseen cluster's mean may differ, at most: what is assumed of it.

    One value may differ by `most`, the whole range. A cluster of many values is assumed to differ
    by no more than `unseen_loss` (a setting) on average: with m values a cluster on average,
    unseen_loss + (most - unseen_loss) / m. Below six effective clusters nothing is assumed: if each
    goes one way as a whole, as copies of one text do, five that agree are chance in 1 of 32.
    """
    if estimate.effective_clusters < FEWEST_CLUSTERS:
        return most
    values_a_cluster = estimate.num_values / estimate.num_clusters
    return unseen_loss + max(0.0, most - unseen_loss) / values_a_cluster


def floor_interval(
    estimate: ClusteredMean, alpha: float, lowest: float, highest: float
) -> Interval:
    """The narrowest interval this many clusters can justify.

    A share u = `unseen_share` of clusters of a kind not seen yet may exist, whose mean is at worst
    `lowest` or `highest`: mean - u · (mean - lowest) to mean + u · (highest - mean), and never
    short of the mean. The t interval does not know: with all values equal its width is zero
    however few they are. Used as a hull with it.
    """
    share = unseen_share(estimate.effective_clusters, alpha)
    return Interval(
        estimate.mean - share * max(0.0, estimate.mean - lowest),
        estimate.mean + share * max(0.0, highest - estimate.mean),
    )


def floor_p_value(estimate: ClusteredMean, value: float, highest: float) -> float:
    """One-sided p of "the mean is at least `value`" by the floor alone, its dual."""
    if estimate.mean >= value:
        return 1.0
    if highest <= value:  # nothing unseen could lift the mean so far
        return 0.0
    share = (value - estimate.mean) / (highest - estimate.mean)
    return float((1 - share) ** estimate.effective_clusters)


def wilson_interval(successes: float, trials: float, alpha: float) -> Interval:
    """Score interval of a share of independent yes/no cases.

    Keeps its coverage for few cases and for 0 or all successes, where it is not empty.
    Papers: Wilson (1927); Brown, Cai & DasGupta (2001).
    """
    from scipy.special import ndtri

    z2 = float(ndtri(1 - alpha / 2)) ** 2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = share * (1 - share) / trials + z2 / (4 * trials**2)
    half = math.sqrt(z2 * spread) / (1 + z2 / trials)
    # exact at the ends, where rounding would leave 1e-17
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if successes == trials else min(1.0, centre + half))
