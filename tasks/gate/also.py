"""What other scorers say of the answers that a suite was judged by: with the estimator and at the
confidence of its verdict, which they leave as it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.evidence.arrays import evidence_of
from tasks.gate.verdict import tally
from tasks.model.answer import JudgedSample
from tasks.model.verdict import AlsoMeasured, Decision, GateRule, SuiteResult


def with_also(decision: Decision, judged: Sequence[JudgedSample], gate: GateRule) -> Decision:
    """The decision as it is, with what every other scorer of its suites found. `judged`: what was
    decided on. Raises ValueError as `evidence_of`."""
    suites = tuple(_measured(suite, judged, gate) for suite in decision.suites)
    return replace(decision, suites=suites)


def _measured(suite: SuiteResult, judged: Sequence[JudgedSample], gate: GateRule) -> SuiteResult:
    if not suite.rule.also:
        return suite
    counted = [
        item for item in judged if item.sample.suite == suite.rule.name and item.sample.is_counted
    ]
    also = tuple(
        _one(metric, place, counted, suite, gate) for place, metric in enumerate(suite.rule.also)
    )
    return replace(suite, also=also)


def _one(
    metric: str, place: int, counted: Sequence[JudgedSample], suite: SuiteResult, gate: GateRule
) -> AlsoMeasured:
    answers = (answer for item in counted for given in item.answers.values() for answer in given)
    scorer = next((answer.also[place].scorer for answer in answers if answer.also), metric)
    items = [item.by(place) for item in counted]
    evidence = evidence_of(items)
    comparison = evidence.comparison(suite.level, gate.unseen_loss)
    interval = None if comparison is None else comparison.interval
    return AlsoMeasured(
        metric=metric,
        scorer=scorer,
        num_samples=evidence.num_samples,
        champion=evidence.mean("champion"),
        challenger=evidence.mean("challenger"),
        difference=None if comparison is None else comparison.difference,
        ci_low=None if interval is None else interval.low,
        ci_high=None if interval is None else interval.high,
        num_unknown_champion=tally(items, "champion").num_unknown,
        num_unknown_challenger=tally(items, "challenger").num_unknown,
        method="" if comparison is None else comparison.method,
    )
