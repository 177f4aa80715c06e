"""Guardrails: what may be used more of, by how much, and what is said of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tasks.gate.guardrails import usage_of
from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide
from tasks.model.answer import MISSING, Answer, JudgedSample
from tasks.model.guardrail import GuardrailResult, GuardrailRule, Price
from tasks.model.verdict import Decision, GateRule, SuiteRule
from tasks.scoring import policy
from tests.tasks.gate.cases import GATE, GUARD, PRIMARY, REPORT, sample, swapped

LENGTH = GuardrailRule("length", "output_tokens", 0.1)
NIGHTLY = replace(GATE, early=0.2)


def _said(output_tokens: int, input_tokens: int = 100) -> Answer:
    return Answer(1.0, text="a", input_tokens=input_tokens, output_tokens=output_tokens)


def _answers(
    factor: float, count: int = 200, suite: str = "route", seed: int = 0
) -> list[JudgedSample]:
    """All right; the challenger's are longer by `factor`, each by something else."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(50, 150, count)
    noise = draw.uniform(0.9, 1.1, count)
    return [
        sample(n, _said(int(long)), _said(round(long * factor * by)), suite)
        for n, (long, by) in enumerate(zip(lengths, noise, strict=True))
    ]


def _decide(
    items: list[JudgedSample],
    *guardrails: GuardrailRule,
    rules: tuple[SuiteRule, ...] = (PRIMARY,),
    gate: GateRule = GATE,
    look: int = 1,
) -> Decision:
    return decide(
        items, rules, gate, is_same_release=False, guardrails=guardrails or (LENGTH,), look=look
    )


@pytest.mark.parametrize(
    ("factor", "verdict", "whole"),
    [(0.5, "no_worse", "no_worse"), (1.0, "no_worse", "no_worse"), (1.06, "no_worse", "no_worse"),
     (1.095, "worse", "worse"), (1.3, "worse", "worse")],
)  # fmt: skip
def test_so_many_percent_more_are_allowed(factor: float, verdict: str, whole: str) -> None:
    decision = _decide(_answers(factor))
    (told,) = decision.guardrails
    assert (told.verdict, decision.verdict) == (verdict, whole)
    assert told.ratio == pytest.approx(factor, abs=0.02)
    assert decision.suites[0].verdict == "no_worse"


def test_more_that_is_not_certain_cannot_be_told_and_holds() -> None:
    decision = _decide(_answers(1.0, count=20))
    assert (decision.guardrails[0].verdict, decision.verdict) == ("cannot_tell", "cannot_tell")
    text = " ".join(reasons(decision, GATE))
    assert "guardrail length is not known to keep its margin" in text


def test_a_guardrail_cannot_win() -> None:
    assert _decide(_answers(0.2)).verdict == "no_worse"


def test_a_guardrail_alone_ships_nothing() -> None:
    items = _answers(0.5, suite="logged")
    decision = _decide(items, replace(LENGTH, suites=("logged",)), rules=(REPORT,))
    assert (decision.guardrails[0].verdict, decision.verdict) == ("no_worse", "cannot_tell")


def test_it_is_of_the_suites_that_gate_or_of_those_named() -> None:
    items = [*_answers(1.0), *_answers(2.0, suite="mood"), *_answers(9.0, suite="logged")]
    rules = (PRIMARY, GUARD, REPORT)
    (of_all,) = _decide(items, rules=rules).guardrails
    assert (of_all.num_samples, of_all.ratio) == (400, pytest.approx(1.5, abs=0.02))
    (of_one,) = _decide(items, replace(LENGTH, suites=("route",)), rules=rules).guardrails
    assert (of_one.num_samples, of_one.ratio) == (200, pytest.approx(1.0, abs=0.02))


def test_worse_must_be_certain_among_all_guardrails_and_suites() -> None:
    """One-sided at .025: p is below a half of it, which one suite and one guardrail ask for, and
    above the tenth that one and nine ask for."""
    items = _answers(1.05, count=100)
    p = usage_of({"route": items}, [PRIMARY], LENGTH).p_value_of_more
    assert 0.0025 < p < 0.0125
    strict = replace(LENGTH, margin=0.0001)
    (alone,) = _decide(items, strict).guardrails
    many = _decide(items, *(replace(strict, name=str(n)) for n in range(9))).guardrails
    assert alone.verdict == "worse"
    assert {told.verdict for told in many} == {"cannot_tell"}
    assert {told.interval for told in many} == {alone.interval}, "shipping is at the whole rate"


def test_cost_is_what_each_release_costs() -> None:
    prices = {"champion": Price(1.0, 2.0, "EUR"), "challenger": Price(0.5, 8.0, "EUR")}
    cost = GuardrailRule("money", "cost", 0.1, prices=prices)
    items = [sample(n, _said(10 + n % 3, 1000), _said(10 + n % 3, 1000)) for n in range(90)]
    decision = _decide(items, cost)
    (told,) = decision.guardrails
    # (1000 + 2 · 11) / 1e6 and (500 + 8 · 11) / 1e6
    assert told.champion == pytest.approx(1022e-6)
    assert told.challenger == pytest.approx(588e-6)
    assert (told.verdict, told.rule.unit) == ("no_worse", "EUR")
    assert (
        "guardrail money, cost: challenger 0.588 EUR for 1,000 answers against champion 1.022 EUR "
        "for 1,000 answers on 90 samples (90 independent clusters): 42.5% less (95% interval "
    ) in " ".join(reasons(decision, GATE))


def test_repeats_are_averaged_and_what_is_not_known_leaves_with_its_pair() -> None:
    items = [
        sample(
            n, (_said(10), _said(30)), (_said(20), MISSING) if n < 50 else (_said(22), _said(22))
        )
        for n in range(100)
    ]
    (told,) = _decide(items).guardrails
    assert (told.champion, told.challenger) == (20, 21)
    assert (told.num_samples, told.num_unknown) == (100, 0)

    failed = Answer(is_missing=True, fault="release", input_tokens=100, output_tokens=0)
    lost = [*_answers(1.0), *(sample(n, _said(100), failed) for n in range(300, 320))]
    decision = _decide(lost)
    (told,) = decision.guardrails
    assert (told.num_samples, told.num_unknown, told.verdict) == (200, 20, "no_worse")
    assert "; of 20 more it is not known: " in " ".join(reasons(decision, GATE))
    more = [*lost, *(sample(n, MISSING, _said(100)) for n in range(400, 405))]
    decision = _decide(more)
    (told,) = decision.guardrails
    assert (told.num_unknown, told.too_many_unknown, told.verdict) == (25, True, "cannot_tell")
    assert "more than 10% are not known: cannot_tell." in " ".join(reasons(decision, GATE))


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([], "no samples that count, so nothing can be said"),
        ([sample(n, _said(0), _said(5)) for n in range(90)], "of nothing there is no share"),
        ([sample(n, _said(5), _said(5), cluster=str(n % 5)) for n in range(90)], "fewer than six"),
        ([sample(n, _said(5), _said(5), is_counted=False) for n in range(9)], "no samples that"),
    ],
)
def test_where_nothing_can_be_said_it_is_told_why(items: list[JudgedSample], why: str) -> None:
    decision = _decide(items)
    assert decision.guardrails[0].verdict == "cannot_tell"
    assert why in " ".join(reasons(decision, GATE))


def test_later_looks_are_judged_by_their_part_of_the_error_rate() -> None:
    items = _answers(1.07, count=60)
    first, second = (_decide(items, gate=NIGHTLY, look=look) for look in (1, 2))
    assert first.guardrails[0].level == pytest.approx(0.04)
    assert second.guardrails[0].level == pytest.approx(0.005)
    one, other = first.guardrails[0].interval, second.guardrails[0].interval
    assert one is not None
    assert other is not None
    assert other.low < one.low < one.high < other.high
    assert "guardrails are judged at 99.5%" in " ".join(reasons(second, NIGHTLY))


def test_never_both_ways_worse() -> None:
    for seed in range(20):
        items = _answers(1.0 + seed / 100, count=80, seed=seed)
        one, other = (_decide(part).guardrails[0] for part in (items, swapped(items)))
        assert "worse" not in (one.verdict, other.verdict) or one.verdict != other.verdict
        assert one.interval is not None
        assert other.interval is not None
        assert other.interval.low == pytest.approx(1 / one.interval.high)


def test_what_is_kept_is_read_back_the_same_and_holds_no_number_that_json_lacks() -> None:
    prices = {"champion": Price(1.0, 2.0, "EUR"), "challenger": Price(0.5, 8.0, "EUR")}
    unbounded = [sample(n, _said(1000 if n == 0 else 0), _said(40)) for n in range(30)]
    decision = _decide(
        [*_answers(1.2), *unbounded[:0]],
        LENGTH,
        GuardrailRule("money", "cost", 0.1, ("route",), "finance", prices),
        GuardrailRule("nothing", "input_tokens", 0.1, ("mood",)),
    )
    (endless,) = _decide(unbounded).guardrails
    assert endless.interval is not None
    assert endless.interval.high == math.inf
    assert endless.verdict == "cannot_tell"
    assert "to no bound" in " ".join(reasons(_decide(unbounded), GATE))
    for told in (*decision.guardrails, endless):
        text = json.dumps(told.to_json(), allow_nan=False)
        again = GuardrailResult.from_json(json.loads(text))
        assert again == replace(told, level=pytest.approx(told.level))


def test_a_guardrail_that_changed_after_the_plan_is_named() -> None:
    planned = json.loads(json.dumps(policy.policy([PRIMARY], GATE, [LENGTH])))
    assert policy.changes(planned, policy.policy([PRIMARY], GATE, [LENGTH])) == ()
    wider = policy.policy([PRIMARY], GATE, [replace(LENGTH, margin=0.2, suites=("route",))])
    assert policy.changes(planned, wider) == (
        "guardrails.length.margin 0.1 → 0.2",
        "guardrails.length.suites [] → ['route']",
    )
    assert policy.changes(planned, policy.policy([PRIMARY], GATE))[0] == (
        "guardrails.length.margin 0.1 → not set"
    )
