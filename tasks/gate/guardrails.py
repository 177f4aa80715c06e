"""Guardrails: whether the challenger uses too much of what has no upper end (tokens, cost).

Every guardrail must be no worse for a release to ship, at the error rate of the look, as a guarded
slice must: no evidence is gathered over nights, since nothing bounds a value that could be bet on.
None can win. What is not known, of answers that are not there, leaves with its pair and is counted:
nothing bounds what it might have been. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from tasks.model.answer import ROLES, Answer, JudgedSample, Role
from tasks.model.guardrail import GuardrailResult, GuardrailRule, GuardrailVerdict
from tasks.model.verdict import GateRule, SuiteRule
from tasks.statistics.intervals import labels_of
from tasks.statistics.ratio import Measured, compare_ratio, p_value_of_less


@dataclass(frozen=True, slots=True)
class Usage:
    """What a guardrail measures, over the samples of which it is known of both releases."""

    pairs: Measured
    num_unknown: int

    @property
    def p_value_of_more(self) -> float:
        """One-sided p of "the challenger uses no more"."""
        return p_value_of_less(self.pairs.swapped(), 1.0)

    @property
    def unknown_ratio(self) -> float:
        total = self.pairs.num_pairs + self.num_unknown
        return self.num_unknown / total if total else 0.0

    def mean(self, role: Role) -> float | None:
        if not self.pairs.num_pairs:
            return None
        values = self.pairs.champion if role == "champion" else self.pairs.challenger
        return float(np.average(values, weights=self.pairs.weights))


def usage_of(
    by_suite: Mapping[str, Sequence[JudgedSample]],
    suites: Sequence[SuiteRule],
    rule: GuardrailRule,
) -> Usage:
    """Over the samples that count, repeats averaged first."""
    names = rule.suites or [suite.name for suite in suites if suite.is_gating]
    items = [item for name in names for item in by_suite.get(name, ()) if item.sample.is_counted]
    known: list[JudgedSample] = []
    values: list[tuple[float, ...]] = []
    for item in items:
        means = tuple(_mean(item, role, rule) for role in ROLES)
        if all(mean is not None for mean in means):
            known.append(item)
            values.append(tuple(mean for mean in means if mean is not None))
    champion, challenger = np.array(values, dtype=np.float64).reshape(-1, len(ROLES)).T
    clusters = labels_of([item.sample.cluster_id for item in known])
    weights = np.array([item.sample.weight for item in known], dtype=np.float64)
    draws = np.array([item.sample.num_draws for item in known], dtype=np.float64)
    return Usage(Measured(champion, challenger, clusters, weights, draws), len(items) - len(known))


def guardrail_result(
    usage: Usage, rule: GuardrailRule, gate: GateRule, look: int, *, is_more: bool
) -> GuardrailResult:
    """`is_more`: whether it is certain, among all that may be called worse, that the challenger
    uses more."""
    alpha = gate.alpha_of_look(look)
    comparison = compare_ratio(usage.pairs, alpha)
    too_many_unknown = usage.unknown_ratio > gate.max_missing_ratio
    verdict: GuardrailVerdict = "cannot_tell"
    if comparison is not None and not too_many_unknown:
        if comparison.interval.high < 1 + rule.margin:
            verdict = "no_worse"
        elif is_more:
            verdict = "worse"
    return GuardrailResult(
        rule=rule,
        verdict=verdict,
        level=alpha,
        num_samples=usage.pairs.num_pairs,
        num_clusters=usage.pairs.num_clusters,
        num_unknown=usage.num_unknown,
        too_many_unknown=too_many_unknown,
        champion=usage.mean("champion"),
        challenger=usage.mean("challenger"),
        comparison=comparison,
    )


def _mean(item: JudgedSample, role: Role, rule: GuardrailRule) -> float | None:
    """Over the repeats of which it is known."""
    values = [_measured(answer, role, rule) for answer in item.answers[role]]
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _measured(answer: Answer, role: Role, rule: GuardrailRule) -> float | None:
    """What one answer comes to; of one that is not there nobody knows what it would have."""
    if answer.is_missing or answer.input_tokens is None or answer.output_tokens is None:
        return None
    if rule.measure == "input_tokens":
        return float(answer.input_tokens)
    if rule.measure == "output_tokens":
        return float(answer.output_tokens)
    return rule.prices[role].of(answer.input_tokens, answer.output_tokens)
