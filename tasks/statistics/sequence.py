"""Evidence over many looks at one pair of releases: ship, worse, futile or go on.

A gate that is looked at every night, each time with a fixed-n interval, is wrong in some night far
more often than its error rate. Here the error rate is split before the first night: a part is spent
by a confidence sequence, which holds at every look, and the rest by one fixed-n interval, at the
first look with as many samples as were planned. By the union bound both together are wrong, ever,
with probability at most alpha / 2 on either side: of that, the sequence's part holds by
construction, the other as far as the fixed-n interval holds its level. A sequence alone would be
about 1.5 times as wide as the fixed-n interval.

What counts is a cluster at its first observation. Of a set that grows, and of a window that moves,
each night brings new clusters; of sets drawn anew from one pool, nights repeat clusters that were
bet before, which say nothing new: they are not fed again, nor are later samples of a cluster that
was. The caller keeps which clusters were fed; the fixed look is of the same samples. Clusters are
bet in the order of a hash of their id, so the order cannot depend on an outcome.

Owns the split, the looks, the decision and futility; betting.py the bets. Pure.
Papers: Waudby-Smith & Ramdas (2024), see betting.py; Lan, Simon & Halperin, "Stochastically
curtailed tests in long-term clinical trials" (1982) for futility.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from tasks.model.comparison import Interval, Look
from tasks.statistics.betting import (
    PRIOR_CLUSTERS,
    PRIOR_SQUARE,
    Bets,
    Values,
    bet,
    confidence_sequence,
    no_bets,
)

Decision = Literal["ship", "worse", "futile", "go_on"]
#: from a two-sided error rate to the fixed-n interval of all samples fed so far
FixedInterval = Callable[[float], Interval]
_FUTILE_BELOW = 0.01


@dataclass(frozen=True, slots=True)
class Plan:
    """What is declared before the first look; evidence under another plan starts from nothing.

    A release ships when its mean difference lies above -margin. `alpha` is two-sided, like every
    interval of the gate: `early` of it is spent by the sequence, the rest by the look at `planned`
    samples. `max_weight` is the most that a cluster, the sum of its samples, may weigh: the nearer
    to the usual weight, the more power. `seed` sets the order.
    """

    margin: float
    planned: int
    max_weight: float
    alpha: float = 0.05
    early: float = 0.2
    seed: str = ""

    def __post_init__(self) -> None:
        if not (0 < self.margin < 1 and 0 < self.alpha < 1 and 0 < self.early < 1):
            raise ValueError(f"margin, alpha and early lie between 0 and 1: {self}")
        if self.planned < 1:
            raise ValueError(f"a look is planned at one sample or more, not at {self.planned}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything known of one pair of releases on one suite. `fixed`: the planned look, once taken;
    `fixed_num_samples` the samples it was of; `fixed_p_values`, which the caller adds, that they
    have no loss, and no gain."""

    plan: Plan
    bets: Bets
    num_samples: int = 0
    fixed: Interval | None = None
    fixed_num_samples: int = 0
    fixed_p_values: tuple[float, float] = (1.0, 1.0)
    looks: tuple[Look, ...] = ()

    @property
    def difference(self) -> float | None:
        """Weighted mean of all samples fed."""
        weight, weighted = self.bets.moments[0], self.bets.moments[2]
        return weighted / weight if weight else None

    @property
    def interval(self) -> Interval:
        """What the sequence and, once taken, the planned look leave together: wrong at any look
        with probability at most alpha. low > high: they contradict each other."""
        return self.interval_without(0.0)

    def interval_without(self, share: float) -> Interval:
        """The same where a share of the weight could not be bet on and may have been all lost or
        all won; the planned look is of all samples."""
        bets = confidence_sequence(self.bets, self.plan.alpha * self.plan.early)
        interval = Interval((1 - share) * bets.low - share, (1 - share) * bets.high + share)
        if self.fixed is None:
            return interval
        return Interval(max(interval.low, self.fixed.low), min(interval.high, self.fixed.high))

    @property
    def may_tell_loss(self) -> bool:
        """Early, few samples show sooner that a release loses than that it loses less than the
        margin: before the planned look only a mean difference beyond the margin is called worse."""
        difference = self.difference
        return self.fixed is not None or (
            difference is not None and difference <= -self.plan.margin
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Evidence:
        """What `to_json` gave, through JSON: lists for tuples."""
        bets: dict[str, Any] = {
            key: tuple(part) if isinstance(part, list) else part
            for key, part in value["bets"].items()
        }
        fixed = value["fixed"]
        return cls(
            plan=Plan(**value["plan"]),
            bets=Bets(**bets),
            num_samples=value["num_samples"],
            fixed=None if fixed is None else Interval(**fixed),
            fixed_num_samples=value["fixed_num_samples"],
            fixed_p_values=tuple(value["fixed_p_values"]),
            looks=tuple(
                Look(**{**look, "interval": Interval(**look["interval"])})
                for look in value["looks"]
            ),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples to feed, whole clusters. differences: [num_samples] float64 in [-1, 1], challenger -
    champion; cluster_ids: [num_samples]; weights: [num_samples] float64, None: all 1."""

    differences: Values
    cluster_ids: Sequence[str]
    weights: Values | None = None


def begin(plan: Plan) -> Evidence:
    return Evidence(plan, no_bets(plan.max_weight, (-plan.margin, 0.0)))


def random_order(cluster_ids: Iterable[str], seed: str) -> list[str]:
    """The distinct ids in the order of a hash: random, yet the same wherever it is computed, and
    blind to outcomes."""

    def place(cluster_id: str) -> tuple[bytes, str]:
        key = f"{seed}\0{cluster_id}".encode()
        return hashlib.blake2b(key, digest_size=8).digest(), cluster_id

    return sorted(set(cluster_ids), key=place)


def update(evidence: Evidence, batch: Batch) -> Evidence:
    """Bet on samples of clusters never fed before; not yet a look.

    A cluster counts with the sum of its weights, its difference is their weighted mean. Raises
    ValueError for weights and differences out of range (see `betting.bet`).
    """
    if not len(batch.differences):
        return evidence
    weights = np.ones_like(batch.differences) if batch.weights is None else batch.weights
    if not bool((np.isfinite(weights) & (weights >= 0)).all()):
        raise ValueError("the weight of a sample is negative or not a number")
    order = {key: i for i, key in enumerate(random_order(batch.cluster_ids, evidence.plan.seed))}
    places = np.array([order[key] for key in batch.cluster_ids], dtype=np.int64)
    totals = np.bincount(places, weights=weights).astype(np.float64)
    sums = np.bincount(places, weights=weights * batch.differences)
    if not bool((totals > 0).all()):
        raise ValueError("a cluster weighs nothing: leave it out")
    # rounding can leave 1 + 1e-16 where all differences are 1
    means = np.where(np.abs(sums) > totals * (1 + 1e-9), np.nan, np.clip(sums / totals, -1, 1))
    return replace(
        evidence,
        bets=bet(evidence.bets, means, totals),
        num_samples=evidence.num_samples + len(batch.differences),
    )


def look(evidence: Evidence, fixed_interval: FixedInterval) -> Evidence:
    """End a night: take the planned look if it is due, and add a point to the curve.

    `fixed_interval` is called at most once in the life of the evidence, when for the first time as
    many samples as planned have been fed.
    """
    evidence = _with_planned_look(evidence, fixed_interval)
    point = Look(
        evidence.num_samples,
        evidence.bets.num_clusters,
        evidence.difference,
        evidence.interval,
    )
    return replace(evidence, looks=(*evidence.looks, point))


def decision(evidence: Evidence) -> Decision:
    """ship     the interval lies above -margin
    worse    it does not, and lies below 0; before the planned look only where the mean difference
             has reached -margin too: a release may lose less than the margin, which few samples
             show sooner to be a loss than to be a small one
    futile   neither, and an equal release would pass the planned look with a chance below 1%; no
             error rate rests on it, so one may go on all the same
    go_on    otherwise, and where the evidence contradicts itself
    """
    interval, margin = evidence.interval, evidence.plan.margin
    if interval.low > interval.high:
        return "go_on"
    if interval.low > -margin:
        return "ship"
    if interval.high < 0 and evidence.may_tell_loss:
        return "worse"
    return "futile" if is_futile(evidence) else "go_on"


def is_futile(evidence: Evidence) -> bool:
    """Whether an equal release would hardly pass the planned look any more."""
    chance = conditional_power(evidence)
    return chance is not None and chance < _FUTILE_BELOW


def conditional_power(evidence: Evidence) -> float | None:
    """Chance that the planned look ships, if what is still to come is equal on average.

    Normal approximation of a look of `planned` samples: those fed keep their mean, the others have
    mean 0 and the variance seen so far, smoothed by the prior of the bets. Leaves out that the
    sequence may ship before, which is rare where this is small. None once the look was taken.
    """
    from scipy.special import ndtr, ndtri

    plan, moments = evidence.plan, evidence.bets.moments
    done = evidence.num_samples / plan.planned
    if evidence.fixed is not None or done >= 1:
        return None
    mean = evidence.difference
    if mean is None:
        mean, usual, squares = 0.0, 1.0, 0.0
    else:
        usual = moments[0] / evidence.bets.num_clusters
        squares = (moments[4] - 2 * mean * moments[3] + mean**2 * moments[1]) / usual**2
    num_clusters = evidence.bets.num_clusters
    variance = (squares + PRIOR_CLUSTERS * PRIOR_SQUARE) / (num_clusters + PRIOR_CLUSTERS)
    samples_a_cluster = evidence.num_samples / num_clusters if num_clusters else 1.0
    error = math.sqrt(variance * samples_a_cluster / plan.planned)
    quantile = float(ndtri(1 - plan.alpha * (1 - plan.early) / 2))
    spare = done * mean + plan.margin - quantile * error
    return float(ndtr(spare / (math.sqrt(1 - done) * error)))


def _with_planned_look(evidence: Evidence, fixed_interval: FixedInterval) -> Evidence:
    plan = evidence.plan
    if evidence.fixed is not None or evidence.num_samples < plan.planned:
        return evidence
    fixed = fixed_interval(plan.alpha * (1 - plan.early))
    return replace(evidence, fixed=fixed, fixed_num_samples=evidence.num_samples)
