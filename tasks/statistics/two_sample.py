"""Do two samples come from one distribution? Tests whose p values hold with ties and rare values.

Assumption: the rows are independent, so that under no change any assignment of them to the two
samples is as likely as the one seen. Where the textbook approximation does not hold (few different
values, cells expected to have less than five rows) the p value is that of a permutation test, which
is exact at any size. Pure.
Sources: Kolmogorov-Smirnov and chi-square of scipy; Besag and Clifford, "Sequential Monte Carlo
p-values" (1991).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

#: with more different values than this, ties hardly matter and scipy's p value is used
MAX_TIED_VALUES = 200
_MIN_EXPECTED = 5
_ENOUGH_EXCEEDING = 20
_DRAWS_AT_ONCE = 100
#: two sums of the same numbers in another order
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Tested:
    """A test's name, its statistic and its p value (small: the samples differ)."""

    test: str
    statistic: float
    p_value: float


def kolmogorov_smirnov(
    reference: NDArray[np.float64], new: NDArray[np.float64], max_draws: int, rng: Generator
) -> Tested:
    """Of numbers; NaN, "no value", counts as less than any number, so its share is tested too."""
    from scipy.stats import ks_2samp

    before, after = (np.where(np.isnan(x), -np.inf, x) for x in (reference, new))
    values, places = np.unique(np.concatenate([before, after]), return_inverse=True)
    if len(values) > MAX_TIED_VALUES:
        found = ks_2samp(before, after, method="asymp")
        return Tested("Kolmogorov-Smirnov", float(found.statistic), float(found.pvalue))
    table = np.stack(
        [np.bincount(part, minlength=len(values)) for part in np.split(places, [len(before)])]
    )
    return _permuted("Kolmogorov-Smirnov, permuted", _largest_gap, table, max_draws, rng)


def chi_square(table: NDArray[np.int64], max_draws: int, rng: Generator) -> Tested:
    """Of counts, [2, num_values]: reference and new. Every value was met at least once."""
    from scipy.stats import chi2_contingency

    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    if expected.min() >= _MIN_EXPECTED:
        found = chi2_contingency(table, correction=False)
        return Tested("chi-square", float(found.statistic), float(found.pvalue))
    return _permuted("chi-square, permuted", _chi_square, table, max_draws, rng)


def permutation_p(observed: float, draw: Callable[[int], NDArray[np.float64]], most: int) -> float:
    """The share of permuted statistics at least as large; `draw(k)` gives k of them.

    At least 1 / (most + 1). Stops once 20 were as large: no more are needed to see that p is not
    small, and the p value stays valid (Besag and Clifford).
    """
    least = observed - abs(observed) * _ROUNDING
    exceeding = drawn = 0
    while drawn < most:
        values = draw(min(_DRAWS_AT_ONCE, most - drawn))
        hits = np.flatnonzero(values >= least)
        if exceeding + len(hits) >= _ENOUGH_EXCEEDING:
            return _ENOUGH_EXCEEDING / float(drawn + hits[_ENOUGH_EXCEEDING - exceeding - 1] + 1)
        exceeding += len(hits)
        drawn += len(values)
    return (exceeding + 1) / (drawn + 1)


def _permuted(
    test: str,
    statistic: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
    table: NDArray[np.int64],
    max_draws: int,
    rng: Generator,
) -> Tested:
    """Shuffling rows between samples is drawing the new sample's counts from the pooled ones."""
    pooled, num_new = table.sum(axis=0), int(table[1].sum())
    observed = float(statistic(table[1:], pooled)[0])

    def draw(count: int) -> NDArray[np.float64]:
        counts = rng.multivariate_hypergeometric(pooled, num_new, size=count, method="marginals")
        return statistic(counts, pooled)

    return Tested(test, observed, permutation_p(observed, draw, max_draws))


def _largest_gap(new: NDArray[np.int64], pooled: NDArray[np.int64]) -> NDArray[np.float64]:
    """Between the cumulative shares; new: [draws, num_values] → [draws]."""
    before = np.cumsum(pooled - new, axis=1)
    after = np.cumsum(new, axis=1)
    gaps: NDArray[np.float64] = np.abs(before / before[:, -1:] - after / after[:, -1:]).max(axis=1)
    return gaps


def _chi_square(new: NDArray[np.int64], pooled: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of both rows of each table; new: [draws, num_values] → [draws]."""
    share = new[0].sum() / pooled.sum()
    expected = pooled * share
    # the two cells of a value differ from what is expected by the same number of rows
    weights = 1 / expected + 1 / (pooled - expected)
    found: NDArray[np.float64] = ((new - expected) ** 2 * weights).sum(axis=1)
    return found
