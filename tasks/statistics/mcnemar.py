"""Paired yes/no answers: McNemar's test, and the score interval of the difference.

b pairs were won (only the second was right), c pairs lost (only the first was right); pairs on
which both agree tell nothing for the test but count for the interval.
"""

from __future__ import annotations

import math

from tasks.model.comparison import Interval

_BISECTIONS = 60


def exact_p_value(b: int, c: int) -> float:
    """Exact two-sided McNemar p: b against Binomial(b + c, 1/2). Conservative for few discordant
    pairs; 1 with none. Paper: McNemar (1947)."""
    from scipy.special import bdtr

    if b + c == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5)))


def _chance(wins: int, pairs: int) -> float:
    """Binomial(pairs, 1/2) at `wins`, in logarithms: factorials of many pairs overflow."""
    log = math.lgamma(pairs + 1) - math.lgamma(wins + 1) - math.lgamma(pairs - wins + 1)
    return math.exp(log - pairs * math.log(2))


def mid_p_value(b: int, c: int) -> float:
    """McNemar's mid-p: the exact p less half the chance of what was seen.

    Close to its nominal level also for few pairs, where the exact test hardly ever rejects; 1 with
    no discordant pair. Assumes independent pairs. Paper: Fagerland, Lydersen & Laake, "The McNemar
    test for binary matched-pairs data: mid-p and asymptotic are better than exact
    conditional" (2013).
    """
    if b == c:
        return 1.0 if b == 0 else 1.0 - _chance(b, b + c)
    return min(1.0, exact_p_value(b, c) - _chance(min(b, c), b + c))


def tango_interval(b: int, c: int, num_pairs: int, alpha: float) -> Interval:
    """Score interval of the difference of two paired shares, (b - c) / n.

    Inverts Tango's score test with the discordant share estimated under each hypothetical
    difference. Assumes independent pairs; holds its coverage for small n and for b = c = 0, where
    it is ±z² / (n + z²) instead of empty. Paper: Tango, "Equivalence test and confidence interval
    for the difference in proportions for the paired-sample design", Stat. Med. 17 (1998).
    """
    from scipy.special import ndtri

    z = float(ndtri(1 - alpha / 2))
    estimate = (b - c) / num_pairs
    high = _solve(b, c, num_pairs, estimate, 1.0, -z)
    low = -_solve(c, b, num_pairs, -estimate, 1.0, -z)
    return Interval(low, high)


def _score(b: int, c: int, n: int, difference: float) -> float:
    """Tango's statistic: standard normal if `difference` is the true one; falls as it grows."""
    # restricted maximum likelihood of the share of lost pairs, a root of a quadratic
    linear = -b - c + (2 * n - b + c) * difference
    constant = -c * difference * (1 - difference)
    root = math.sqrt(max(0.0, linear * linear - 8 * n * constant))
    lost = (root - linear) / (4 * n)
    variance = n * (2 * lost + difference * (1 - difference))
    distance = b - c - n * difference
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def _solve(b: int, c: int, n: int, low: float, high: float, wanted: float) -> float:
    """The difference in [low, high] whose statistic is `wanted`, by bisection."""
    if _score(b, c, n, high) > wanted:
        return high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _score(b, c, n, middle) > wanted:
            low = middle
        else:
            high = middle
    return high
