"""Every look at a pair of releases adds to one evidence, and the verdict rests on all of it.

A gate that asks anew every night is wrong in some night far more often than its error rate. So the
rate is split before the first look (statistics/sequence.py): bets that hold at every look, and one
look by the gate's own interval, at the planned number of samples. Only samples that were never
looked at for this pair say anything new. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.evidence.arrays import Evidence, evidence_of
from tasks.model.answer import JudgedSample
from tasks.model.comparison import Interval
from tasks.model.sample import FedSample
from tasks.model.verdict import GateRule, Standing, SuiteRule
from tasks.statistics import sequence
from tasks.statistics.betting import p_value_of_gain, p_value_of_loss
from tasks.statistics.intervals import labels_of
from tasks.statistics.sequence import Batch

#: how much heavier than the heaviest of the first look a cluster may ever be
_HEAVIER = 2.0


@dataclass(frozen=True, slots=True)
class Night:
    """What the evidence on a suite has come to with this look, and what the look fed to it.

    `unknown_share`: of the weight of all samples, those that could not be bet on because nobody
    knows what they count.
    """

    evidence: sequence.Evidence
    fed: tuple[FedSample, ...]
    unknown_share: float = 0.0


def night(
    before: sequence.Evidence | None,
    fed_before: Sequence[FedSample],
    judged: Sequence[JudgedSample],
    rule: SuiteRule,
    gate: GateRule,
    planned: int,
) -> Night:
    """One more look. `planned`: samples of the one look by interval, declared before the first.

    Samples that are not counted, or of clusters that were looked at before, say nothing new. Those
    of which nobody knows what they count are not bet on; the planned look holds whatever they were.
    """
    known_ids = {sample.sample_id for sample in fed_before}
    counted = [item for item in judged if item.sample.is_counted]
    seen = {item.sample.cluster_id for item in counted if item.sample.sample_id in known_ids}
    items = [item for item in counted if item.sample.cluster_id not in seen]
    new = evidence_of(items)
    names = [item.sample.cluster_id for item in items]
    vague = {name for name, known in zip(names, new.is_known, strict=True) if not known}
    fed = tuple(
        FedSample(
            item.sample.sample_id,
            item.sample.cluster_id,
            float(difference),
            item.sample.weight,
            item.sample.num_draws,
        )
        for item, difference in zip(items, new.worst, strict=True)
        if item.sample.cluster_id not in vague
    )
    if before is None:
        heaviest = max(_cluster_weights(fed).values(), default=1.0)
        before = sequence.begin(
            sequence.Plan(rule.margin, planned, heaviest * _HEAVIER, gate.alpha, gate.early)
        )
    unknown = sum(item.sample.weight for item in items if item.sample.cluster_id in vague)
    total = unknown + sum(sample.weight for sample in (*fed, *fed_before))
    share = unknown / total if total else 0.0
    if not fed:
        return Night(before, (), share)
    fed = _capped(fed, before.plan.max_weight)
    batch = Batch(
        np.array([sample.difference for sample in fed]),
        [sample.cluster_id for sample in fed],
        np.array([sample.weight for sample in fed]),
    )
    whole = _with_earlier(new, fed_before)

    def by_interval(alpha: float) -> Interval:
        comparison = whole.comparison(alpha, gate.unseen_loss)
        return Interval(-1.0, 1.0) if comparison is None else comparison.interval

    after = sequence.look(sequence.update(before, batch), by_interval)
    if after.fixed is not None and before.fixed is None:
        p_values = (
            whole.p_value_of_loss(0.0, gate.unseen_loss),
            whole.p_value_of_gain(0.0, gate.unseen_loss),
        )
        after = replace(after, fixed_p_values=p_values)
    return Night(after, fed, share)


def standing(night: Night) -> Standing:
    """For the verdict, and for people. What could not be bet on may have been all lost or all won:
    the bets' part of the interval is wider by its share; the planned look has both extremes in it.
    """
    evidence, share = night.evidence, night.unknown_share
    plan, bets = evidence.plan, evidence.bets
    by_bets = p_value_of_loss(bets, 0.0) if evidence.may_tell_loss else 1.0
    return Standing(
        num_samples=evidence.num_samples,
        difference=evidence.difference,
        interval=evidence.interval_without(share),
        planned=plan.planned,
        taken_at=None if evidence.fixed is None else evidence.fixed_num_samples,
        p_of_loss=(evidence.fixed_p_values[0], by_bets),
        p_of_gain=(evidence.fixed_p_values[1], p_value_of_gain(bets, 0.0)),
        looks=evidence.looks,
    )


def _with_earlier(new: Evidence, fed: Sequence[FedSample]) -> Evidence:
    """The new samples with those of earlier looks, as they were observed then."""
    if not fed:
        return new
    differences = np.array([sample.difference for sample in fed])
    # only differences are kept of earlier samples: 0 and the difference are scores as good as any
    earlier = Evidence(
        champion=np.zeros(len(fed)),
        challenger=differences,
        worst=differences,
        best=differences,
        clusters=labels_of([sample.cluster_id for sample in fed]),
        weights=np.array([sample.weight for sample in fed]),
        draws=np.array([sample.num_draws for sample in fed]),
        is_counted=np.ones(len(fed), dtype=np.bool_),
        is_binary=bool(np.isin(differences, (-1.0, 0.0, 1.0)).all()),
    )
    return new.with_others(earlier) if new.num_samples else earlier


def _cluster_weights(fed: Sequence[FedSample]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for sample in fed:
        weights[sample.cluster_id] = weights.get(sample.cluster_id, 0.0) + sample.weight
    return weights


def _capped(fed: Sequence[FedSample], most: float) -> tuple[FedSample, ...]:
    """A cluster heavier than was declared before the first look counts as much as was declared: its
    weight says nothing of its difference."""
    weights = _cluster_weights(fed)
    return tuple(
        replace(sample, weight=sample.weight * min(1.0, most / weights[sample.cluster_id]))
        for sample in fed
    )
