"""What a set can decide: how likely a release of a given true difference passes it, and how many
samples would be enough. Asked before any token is spent, and said beside every verdict.

The answers hold for the very intervals of `paired.compare`: exact over all outcomes for independent
right/wrong pairs, by the noncentral t distribution for graded, clustered or weighted ones. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tasks.statistics.intervals import ClusteredMean, unseen_bound, unseen_share
from tasks.statistics.paired import Pairs
from tasks.statistics.tango import tango_statistic

#: how many standard deviations of the number of changed pairs are looked at
_REACH = 7.0
_MOST_SAMPLES = 10_000_000


@dataclass(frozen=True, slots=True)
class Design:
    """A set as it stands or is planned, and how far two equal releases' scores on it scatter.

    `is_score_interval`: independent right/wrong pairs of equal weight, of which a share of
    `discordance` differ. Of other pairs `standard_error` is that of the mean difference.
    """

    num_samples: float
    samples_a_cluster: float
    effective_clusters: float
    is_score_interval: bool
    discordance: float
    standard_error: float

    def resized(self, num_samples: float) -> Design:
        """The same kind of samples, more or fewer of them."""
        factor = num_samples / self.num_samples
        return replace(
            self,
            num_samples=num_samples,
            effective_clusters=self.effective_clusters * factor,
            standard_error=self.standard_error / math.sqrt(factor),
        )


def design_of(pairs: Pairs) -> Design:
    """From what was seen. Raises ValueError as `paired.compare`."""
    estimate = pairs.estimate()
    independent = estimate.num_clusters == pairs.num_pairs
    return Design(
        num_samples=pairs.num_pairs,
        samples_a_cluster=pairs.num_pairs / estimate.num_clusters,
        effective_clusters=estimate.effective_clusters,
        is_score_interval=independent and pairs.is_binary and not pairs.is_weighted,
        discordance=(pairs.num_won + pairs.num_lost) / pairs.num_pairs,
        standard_error=estimate.standard_error,
    )


def pass_probability(
    design: Design, margin: float, alpha: float, unseen_loss: float, difference: float = 0.0
) -> float:
    """That the interval at 1 - alpha lies above -margin, where `difference` is the true one.

    0: an equal release; -margin: one that should be stopped. Assumes that the scatter is what
    `design` says; the true difference does not change it.
    """
    floor = _least_mean(design, margin, alpha, unseen_loss)
    if design.is_score_interval:
        return _exact(design, margin, alpha, difference, floor)
    if design.standard_error == 0:
        return float(difference > floor)
    return _by_t(design, margin, alpha, difference, floor)


def samples_for(
    design: Design, margin: float, alpha: float, unseen_loss: float, power: float
) -> int | None:
    """The fewest samples of this kind that an equal release passes with at least this probability;
    None where ten million are too few."""

    def passes(num_samples: float) -> bool:
        resized = design.resized(num_samples)
        return pass_probability(resized, margin, alpha, unseen_loss) >= power

    high = max(4.0, 2 * design.num_samples / design.effective_clusters)
    while not passes(high):
        high *= 2
        if high > _MOST_SAMPLES:
            return None
    low = high / 2
    while high - low > max(1.0, high / 500):  # to half a percent
        middle = (low + high) / 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return math.ceil(high)


def _least_mean(design: Design, margin: float, alpha: float, unseen_loss: float) -> float:
    """Above which mean difference the floor of the interval lies above -margin."""
    # of the floor, only what is assumed of an unseen cluster is of interest here
    shape = ClusteredMean(
        mean=0.0,
        standard_error=0.0,
        num_values=math.ceil(design.num_samples),
        num_clusters=math.ceil(design.num_samples / design.samples_a_cluster),
        effective_values=design.num_samples,
        effective_clusters=design.effective_clusters,
        degrees_of_freedom=1.0,
        skewness=0.0,
    )
    bound, share = (
        unseen_bound(shape, unseen_loss, 1.0),
        unseen_share(design.effective_clusters, alpha),
    )
    return (share * bound - margin) / (1 - share)


def _exact(design: Design, margin: float, alpha: float, difference: float, floor: float) -> float:
    """Over all numbers of changed pairs, and of those won: the score interval and the floor."""
    from scipy.special import ndtri
    from scipy.stats import binom

    num_pairs = round(design.num_samples)
    share = max(design.discordance, abs(difference))
    if share == 0:
        changed, chance = np.zeros(1), np.ones(1)
    else:
        reach = _REACH * math.sqrt(num_pairs * share * (1 - share)) + _REACH
        centre = num_pairs * share
        changed = np.arange(max(0, int(centre - reach)), min(num_pairs, int(centre + reach)) + 1.0)
        chance = binom.pmf(changed, num_pairs, share)
    needed = float(ndtri(1 - alpha / 2))

    def passes(won: np.ndarray) -> np.ndarray:
        lost = changed - won
        above = tango_statistic(won, lost, num_pairs, -margin) > needed
        return np.asarray(above & ((won - lost) / num_pairs > floor))

    # the fewest wins that pass, for every number of changed pairs; one more than there are: none
    low, high = np.full(len(changed), -1.0), changed + 1
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        enough = passes(np.clip(middle, 0, changed))
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        high = np.where(high - low < 1, low + 1, high)
    won = high
    win_share = 0.5 if share == 0 else min(1.0, max(0.0, (1 + difference / share) / 2))
    at_least = np.where(
        won <= 0, 1.0, np.where(won > changed, 0.0, binom.sf(won - 1, changed, win_share))
    )
    return float(np.clip((chance * at_least).sum(), 0.0, 1.0))


def _by_t(design: Design, margin: float, alpha: float, difference: float, floor: float) -> float:
    """The estimated error varies too (noncentral t); the floor is a bound on the mean alone."""
    from scipy.stats import nct, norm, t

    degrees = max(1.0, design.effective_clusters - 1)
    error = design.standard_error
    above_t = nct.sf(t.ppf(1 - alpha / 2, degrees), degrees, (difference + margin) / error)
    above_floor = norm.sf((floor - difference) / error)
    return float(min(above_t, above_floor))
