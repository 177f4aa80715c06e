"""Our gate behind the conformance cases: a question becomes judged samples, a decision a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasks.gate.verdict import decide
from tasks.model.answer import MISSING, UNSCORED, Answer, JudgedSample
from tasks.model.guardrail import GuardrailRule, Measure
from tasks.model.sample import Sample
from tasks.model.verdict import GateRule, SuiteRule
from tests.conformance.reading import Item, Question, Told
from tests.conformance.replies import Reply

#: what our gate lets users declare; the defaults of its settings
_UNSEEN_LOSS = 0.25
_MAX_MISSING = 0.1
#: what a guardrail of a case is to us, in their order
_MEASURES: tuple[Measure, ...] = ("output_tokens", "input_tokens")
_LOST = {
    "release": Answer(is_missing=True, fault="release", error="the release gave no answer"),
    "judge": UNSCORED,
    "harness": MISSING,
}


def reply(question: Question) -> Reply:
    rules = [
        SuiteRule(s.name, s.role, s.margin, "score", slices=s.slices)  # type: ignore[arg-type]
        for s in question.suites
    ]
    declared = question.max_missing
    gate = GateRule(
        alpha=question.alpha,
        early=0.0,  # each case is one look
        max_missing_ratio=_MAX_MISSING if declared is None else declared,
        unseen_loss=_UNSEEN_LOSS,
        must_pass_reliability=question.must_pass_reliability,
    )
    if len(question.guardrails) > len(_MEASURES):
        return Reply(cannot_express="so many guardrails")
    guardrails = [
        GuardrailRule(g.name, measure, g.margin)
        for g, measure in zip(question.guardrails, _MEASURES, strict=False)
    ]
    judged = [_judged(item, guardrails) for item in question.items]
    try:
        decision = decide(judged, rules, gate, is_same_release=False, guardrails=guardrails)
    except ValueError as error:
        return Reply(is_refused=True, says=str(error))
    intervals = {suite.rule.name: suite.interval for suite in decision.suites}
    differences = {suite.rule.name: suite.difference for suite in decision.suites}
    return Reply(
        verdicts=frozenset((decision.verdict,)),
        says=decision.verdict,
        suites={suite.rule.name: frozenset((suite.verdict,)) for suite in decision.suites},
        differences={name: told for name, told in differences.items() if told is not None},
        intervals={name: (i.low, i.high) for name, i in intervals.items() if i is not None},
        guardrails={part.rule.name: frozenset((part.verdict,)) for part in decision.guardrails},
        ratios={g.rule.name: g.ratio for g in decision.guardrails if g.ratio is not None},
    )


def _judged(item: Item, guardrails: Sequence[GuardrailRule]) -> JudgedSample:
    sample = Sample(
        sample_id=item.id,
        suite=item.suite,
        task=None,
        messages=(),
        system=None,
        target="",
        target_kind="gold",
        origin="suite",
        slices=item.slices,
        must_pass=item.must_pass,
        cluster_id=item.cluster,
        weight=item.weight,
        is_counted=item.counted,
    )
    answers = {"champion": item.champion, "challenger": item.challenger}
    used = {
        role: {rule.measure: int(item.used[rule.name][place]) for rule in guardrails}
        for place, role in enumerate(answers)
    }
    return JudgedSample(
        sample,
        {role: tuple(_answer(one, used[role]) for one in told) for role, told in answers.items()},
    )


def _answer(told: Told, used: Mapping[str, int]) -> Answer:
    if isinstance(told, str):
        return _LOST[told]
    return replace(Answer(told, input_tokens=0, output_tokens=0), **used)
