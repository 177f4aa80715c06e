"""What a set can decide before any token is spent, suite by suite. Pure.

How far two equal releases would scatter on it is taken from the newest verdict on the suite; where
there is none, or not by this scorer, it is assumed: a tenth of the answers change, and samples of
one cluster are alike a little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tasks.model.sample import Sample
from tasks.model.verdict import GateRule, SuiteResult, SuiteRule
from tasks.scoring.worth import worth_of
from tasks.statistics.planning import Design, pass_probability, samples_for

#: assumed where nothing is known: share of answers that change between two equal releases, and how
#: alike (0 to 1) the differences of two samples of one cluster are
_DISCORDANCE = 0.1
_ALIKE = 0.1
#: an equal release should pass with at least this probability
WANTED = 0.8


@dataclass(frozen=True, slots=True)
class Past:
    """The newest verdict on a suite, and the run it is of."""

    run_id: str
    result: SuiteResult


@dataclass(frozen=True, slots=True)
class SuitePlan:
    """One gating suite, or one value of a guarded slice of it; production adds to one that `grows`.
    `basis`: the run its scatter is taken from; empty: assumed.

    `pass_probability`: that an equal release passes; `stop_probability`: that one which loses as
    much as the margin does not. `num_samples_for_80`: how many samples of this kind would pass an
    equal release with probability 0.8; None: no number.
    """

    suite: str
    role: str
    margin: float
    num_samples: int
    grows: bool
    num_clusters: int
    effective_clusters: float
    discordance: float
    basis: str
    pass_probability: float
    stop_probability: float
    num_samples_for_80: int | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def suite_plans(
    samples: Sequence[Sample],
    rules: Sequence[SuiteRule],
    gate: GateRule,
    past: Mapping[str, Past],
) -> tuple[SuitePlan, ...]:
    """Of every suite that gates, in the order declared, each with its guarded slices."""
    counted: dict[str, list[Sample]] = {rule.name: [] for rule in rules if rule.is_gating}
    for sample in samples:
        if sample.suite in counted and sample.is_counted:
            counted[sample.suite].append(sample)
    plans: list[SuitePlan] = []
    for rule in rules:
        if not rule.is_gating:
            continue
        plans.append(_plan(rule, counted[rule.name], gate, past.get(rule.name)))
        for name, margin in rule.slices.items():
            for value in sorted({s.slices[name] for s in counted[rule.name] if name in s.slices}):
                part = [s for s in counted[rule.name] if s.slices.get(name) == value]
                planned = _plan(replace(rule, margin=margin), part, gate, past.get(rule.name))
                named = f"{rule.name}, {name}={value}"
                plans.append(replace(planned, suite=named, role="guarded slice"))
    return tuple(plans)


def ship_probability(plans: Sequence[SuitePlan]) -> float:
    """That an equal release passes all of them, taken as independent."""
    return math.prod(plan.pass_probability for plan in plans) if plans else 0.0


def headline(plans: Sequence[SuitePlan]) -> str:
    """One line for people; where the set cannot decide, that comes first."""
    if not plans:
        return "no suite gates, so nothing can be decided"
    weakest = min(plans, key=lambda plan: plan.pass_probability)
    passing = f"an equal release passes this set with probability {ship_probability(plans):.0%}"
    if weakest.pass_probability >= WANTED:
        return passing
    short = f"suite {weakest.suite} alone {weakest.pass_probability:.0%}"
    if weakest.num_samples_for_80 is None:
        return f"{passing} ({short}, whatever the number of samples): a wider margin is needed"
    more = max(1, weakest.num_samples_for_80 - weakest.num_samples)
    return f"{passing} ({short}): {more} more samples of {weakest.suite} would give that suite 80%"


def _plan(
    rule: SuiteRule, samples: Sequence[Sample], gate: GateRule, past: Past | None
) -> SuitePlan:
    clusters = len({sample.cluster_id for sample in samples})
    known = past if past is not None and _is_known(past.result, rule) else None
    discordance = _discordance(known)
    design = None if clusters < 2 else _design(samples, discordance, known)
    asked = (rule.margin, gate.look_alpha, gate.unseen_loss)
    passing = 0.0 if design is None else pass_probability(design, *asked)
    at_margin = 0.0 if design is None else pass_probability(design, *asked, -rule.margin)
    alone = Design(100, 1.0, 100, True, discordance, 0.0)
    return SuitePlan(
        suite=rule.name,
        role=rule.role,
        margin=rule.margin,
        num_samples=len(samples),
        grows=any(sample.request_id is not None for sample in samples),
        num_clusters=clusters,
        effective_clusters=0.0 if design is None else round(design.effective_clusters, 1),
        discordance=round(discordance, 4),
        basis="" if known is None else known.run_id,
        pass_probability=passing,
        stop_probability=1 - at_margin,
        num_samples_for_80=samples_for(alone if design is None else design, *asked, WANTED),
    )


def _is_known(result: SuiteResult, rule: SuiteRule) -> bool:
    return result.rule.metric == rule.metric and result.comparison is not None


def _discordance(past: Past | None) -> float:
    """Of past right/wrong answers the share that changed, drawn towards what is assumed where there
    were few of them."""
    if past is None or past.result.num_won is None or past.result.num_lost is None:
        return _DISCORDANCE
    changed = past.result.num_won + past.result.num_lost
    return (changed + 10 * _DISCORDANCE) / (past.result.num_samples + 10)


def _design(samples: Sequence[Sample], discordance: float, past: Past | None) -> Design:
    worth = worth_of(samples)
    alike = (1 - _ALIKE) / worth.effective_values + _ALIKE / worth.effective_clusters
    is_weighted = len({sample.weight for sample in samples}) > 1
    independent = worth.num_clusters == len(samples) and not is_weighted
    return Design(
        num_samples=len(samples),
        samples_a_cluster=len(samples) / worth.num_clusters,
        effective_clusters=worth.effective_clusters,
        is_score_interval=independent and (past is None or past.result.num_won is not None),
        discordance=discordance,
        standard_error=math.sqrt(_variance(past, discordance) * alike),
    )


def _variance(past: Past | None, discordance: float) -> float:
    """Of one difference. Of graded scores it is read off the width of the past interval."""
    from scipy.special import ndtri

    comparison = None if past is None or past.result.num_won is not None else past.result.comparison
    if past is None or comparison is None:
        return discordance
    quantile = float(ndtri(1 - past.result.level / 2))
    error = (comparison.interval.high - comparison.interval.low) / (2 * quantile)
    return min(1.0, error**2 * max(comparison.effective_samples, 2.0))
