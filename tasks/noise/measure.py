"""Which samples are answered again, and how far the two answers of one release lie apart. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tasks.model.answer import Answer, JudgedSample
from tasks.model.noise import OF_THE_ENGINE, ConditionName, Repetition, SuiteNoise
from tasks.model.sample import Sample
from tasks.model.verdict import SuiteRule
from tasks.scoring.worth import as_answered, worth_of
from tasks.statistics.intervals import Values, clustered_mean, labels_of, t_interval
from tasks.statistics.sequence import random_order

#: the parts that the two answers play in a JudgedSample
BEFORE, AFTER = "before", "after"
#: share of the repetitions that may lie beyond the floor
_BEYOND = 0.05
_SAME = 1e-9


def counted(samples: Sequence[Sample], rule: SuiteRule) -> list[Sample]:
    return [sample for sample in samples if sample.suite == rule.name and sample.is_counted]


def drawn(samples: Sequence[Sample], rule: SuiteRule, max_samples: int) -> list[Sample]:
    """At most so many of a suite's samples that count, cluster by cluster, in an order that is
    blind to outcomes and the same on every day."""
    of_suite = counted(samples, rule)
    order = random_order((sample.cluster_id for sample in of_suite), "noise")
    place = {cluster_id: number for number, cluster_id in enumerate(order)}
    ordered = sorted(of_suite, key=lambda sample: (place[sample.cluster_id], sample.sample_id))
    return ordered[:max_samples]


def suite_noise(
    rule: SuiteRule,
    scorer: str,
    whole: Sequence[Sample],
    pairs: Mapping[ConditionName, Sequence[JudgedSample]],
) -> SuiteNoise:
    """`whole`: all samples of the suite that count. `pairs`: condition → those drawn, with the
    answers BEFORE and AFTER, one a repeat."""
    effective = _effective_clusters(whole)
    return SuiteNoise(
        suite=rule.name,
        scorer=scorer,
        num_samples=len(whole),
        repetitions={name: _repetition(name, items, effective) for name, items in pairs.items()},
    )


def _repetition(
    name: ConditionName, items: Sequence[JudgedSample], effective_clusters: float
) -> Repetition:
    both = [
        (before, after)
        for item in items
        for before, after in zip(item.answers[BEFORE], item.answers[AFTER], strict=True)
    ]
    compared = [pair for pair in both if not any(_is_lost(answer) for answer in pair)]
    known = [item for item in items if _is_known(item)]
    values = np.array([item.difference(AFTER, BEFORE) for item in known], dtype=np.float64)
    moved = np.abs(values) > _SAME
    values = np.where(moved, values, 0.0)  # rounding of a mean is no difference
    weights = np.array([item.sample.weight for item in known], dtype=np.float64)
    mean = float(np.average(values, weights=weights)) if known else None
    clusters = [item.sample.cluster_id for item in known]
    return Repetition(
        num_answers=len(compared),
        num_changed=sum(_has_changed(name, *pair) for pair in compared),
        num_lost=len(both) - len(compared),
        num_samples=len(known),
        num_moved=int(moved.sum()),
        difference=mean,
        shift=abs(mean) if mean is not None and name in OF_THE_ENGINE else 0.0,
        scatter=scatter(values, clusters, weights, effective_clusters),
    )


def scatter(
    values: Values, cluster_ids: Sequence[str], weights: Values, effective_clusters: float
) -> float | None:
    """What the mean of a whole suite's differences lies off its expectation, at most, in 95 of 100
    repetitions; None below two clusters.

    values: [num_samples] float64, differences of two runs of one release on the samples drawn.
    t(0.975) · s / sqrt(G), where G is the `effective_clusters` of the whole suite and s² = SE² · G*
    estimates the variance of one cluster's difference: SE is the cluster-robust standard error of
    the mean of those drawn and G* their effective number of clusters. With m drawn of n independent
    samples of equal weight it is t(0.975, m - 1) · sd / sqrt(n): the prediction interval of a mean
    whose standard deviation was estimated, so t and not 1.96. Assumes that samples were drawn
    blind, and that a cluster's noise is independent of the others'.
    0 where nothing differs: few samples then prove little, so their number stands beside it.
    Sources: Miller, "Adding error bars to evals" (2024), on resampling variance and clusters;
    Hahn & Meeker, "Statistical intervals" (1991) for the prediction interval.
    """
    labels = labels_of(cluster_ids)
    if len(np.unique(labels)) < 2:
        return None
    estimate = clustered_mean(values, labels, weights)
    error = estimate.standard_error * math.sqrt(estimate.effective_clusters / effective_clusters)
    return t_interval(replace(estimate, mean=0.0, standard_error=error), _BEYOND).high


def _effective_clusters(samples: Sequence[Sample]) -> float:
    """Of a whole suite; 1 where there is but one cluster. Noise is drawn once a sample, however
    many conversations asked it."""
    if len({sample.cluster_id for sample in samples}) < 2:
        return 1.0
    return worth_of(as_answered(samples, is_sampled=True)).effective_clusters


def _is_lost(answer: Answer) -> bool:
    """Nobody knows what the release said; a failure of its own is an answer."""
    return answer.text is None and not answer.is_failed


def _is_known(item: JudgedSample) -> bool:
    return all(a.counted is not None for role in (BEFORE, AFTER) for a in item.answers[role])


def _has_changed(name: ConditionName, before: Answer, after: Answer) -> bool:
    if name != "judge":
        return before.text != after.text
    first, second = (
        (answer.value, answer.extracted, answer.unscored_reason) for answer in (before, after)
    )
    return first != second
