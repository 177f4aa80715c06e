"""The smallest difference a set can see: what "no difference found" is worth.

Owns the minimum detectable effect. Pure; scipy imported late.
"""

from __future__ import annotations

from tasks.statistics.intervals import ClusteredMean, unseen_share

POWER = 0.8


def minimum_detectable_effect(estimate: ClusteredMean, alpha: float, power: float = POWER) -> float:
    """Smallest true difference that this many samples, this noisy, would show.

    (t(1 - alpha / 2) + t(power)) · SE: a true difference of that size gives an interval without 0
    with probability `power`. Assumes the variance seen here; a variance of zero, or a tiny one,
    says little for few clusters, so the result is never below the share that so many clusters can
    rule out (rule of three). At most 1, the range of a score.
    Papers: Bloom, "Minimum detectable effects" (1995); Hanley & Lippman-Hand (1983).
    """
    from scipy.special import stdtrit

    degrees = estimate.degrees_of_freedom
    factor = float(stdtrit(degrees, 1 - alpha / 2) + stdtrit(degrees, power))
    unseen = unseen_share(estimate.effective_clusters, alpha)
    return min(1.0, max(factor * estimate.standard_error, unseen))
