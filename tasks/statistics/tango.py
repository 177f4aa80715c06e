"""Paired yes/no answers: Tango's score test of their difference, and the interval it inverts to.

b pairs were won (only the second was right), c pairs lost (only the first was right) of n. Counts
may be arrays, for planning over many outcomes at once, and fractions, where pairs have weights.
Paper: Tango, "Equivalence test and confidence interval for the difference in proportions for the
paired-sample design", Stat. Med. 17 (1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.model.comparison import Interval

#: to the last digits of a difference
_BISECTIONS = 50
Counts = float | NDArray[np.float64]


def tango_statistic(b: Counts, c: Counts, n: float, difference: Counts) -> NDArray[np.float64]:
    """Standard normal if `difference` is the true (b - c) / n; falls as it grows.

    The discordant share is estimated under that difference, which is what keeps the level for small
    n and for b = c = 0. Assumes independent pairs.
    """
    wins, losses = np.asarray(b, dtype=np.float64), np.asarray(c, dtype=np.float64)
    # restricted maximum likelihood of the share of lost pairs, a root of a quadratic
    linear = -wins - losses + (2 * n - wins + losses) * difference
    constant = -losses * difference * (1 - difference)
    root = np.sqrt(np.maximum(0.0, linear * linear - 8 * n * constant))
    lost = (root - linear) / (4 * n)
    variance = n * (2 * lost + difference * (1 - difference))
    distance = wins - losses - n * difference
    certain = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    spread = np.sqrt(np.maximum(variance, np.finfo(float).tiny))
    return np.asarray(np.where(variance <= 0, certain, distance / spread), dtype=np.float64)


def tango_interval(b: float, c: float, num_pairs: float, alpha: float) -> Interval:
    """Score interval of the difference of two paired shares, (b - c) / n; never empty: with
    b = c = 0 it is ±z² / (n + z²)."""
    from scipy.special import ndtri

    z = float(ndtri(1 - alpha / 2))
    # the lower end is the upper one of the releases swapped: both at once
    wins, losses = np.array([b, c], dtype=np.float64), np.array([c, b], dtype=np.float64)
    low, high = (wins - losses) / num_pairs, np.ones(2)
    high_is_end = tango_statistic(wins, losses, num_pairs, high) > -z
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = tango_statistic(wins, losses, num_pairs, middle) > -z
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    upper = np.where(high_is_end, 1.0, high)
    return Interval(-float(upper[1]), float(upper[0]))


def tango_p_value(b: float, c: float, num_pairs: float, difference: float) -> float:
    """One-sided p of "the true difference is at least `difference`", the interval's dual."""
    from scipy.special import ndtr

    return float(ndtr(tango_statistic(b, c, num_pairs, difference)))
