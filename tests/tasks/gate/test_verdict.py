"""From answers to the verdict of a run, and the sentences that explain it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide, pairs_of, slice_results, suite_verdict, tally
from tasks.model.answer import MISSING, ROLES, UNSCORED, Answer, JudgedSample
from tasks.model.comparison import Interval
from tasks.model.verdict import Decision, SuiteRule
from tests.tasks.gate.cases import GATE, GUARD, PRIMARY, REPORT, answering, sample, samples, swapped

_RIGHT, _WRONG = Answer(1.0), Answer(0.0)


def _decide(items: list[JudgedSample], *rules: SuiteRule, same: bool = False) -> Decision:
    return decide(items, rules or (PRIMARY,), GATE, is_same_release=same)


def _better(count: int = 100, suite: str = "route") -> list[JudgedSample]:
    return samples([0.0, 1.0] * (count // 2), [1.0] * count, suite)


def _worse(count: int = 100, suite: str = "route") -> list[JudgedSample]:
    return swapped(_better(count, suite))


def _equal(count: int = 200, suite: str = "route") -> list[JudgedSample]:
    return samples([1.0] * count, [1.0] * count, suite)


def _text(decision: Decision) -> str:
    return " ".join(reasons(decision, GATE.max_missing_ratio))


@pytest.mark.parametrize(
    ("low", "high", "role", "verdict"),
    [
        (0.01, 0.1, "primary", "better"),
        (0.01, 0.1, "guard", "no_worse"),
        (-0.04, 0.1, "primary", "no_worse"),
        (-0.04, -0.01, "primary", "no_worse"),
        (0.0, 0.1, "primary", "no_worse"),
        (-0.05, 0.1, "guard", "cannot_tell"),
        (-0.3, 0.3, "primary", "cannot_tell"),
        (-0.3, 0.0, "primary", "cannot_tell"),
        (-0.06, -0.001, "guard", "worse"),
    ],
)
def test_verdict_of_an_interval(low: float, high: float, role: str, verdict: str) -> None:
    assert suite_verdict(Interval(low, high), 0.05, role) == verdict  # type: ignore[arg-type]


def test_the_four_verdicts() -> None:
    assert _decide(_better()).verdict == "better"
    assert _decide(_worse()).verdict == "worse"
    assert _decide(_equal()).verdict == "no_worse"
    assert _decide(_equal(20)).verdict == "cannot_tell"


def test_a_guard_may_not_win_but_can_lose() -> None:
    guarded = [*_equal(), *_better(suite="mood")]
    assert _decide(guarded, PRIMARY, GUARD).verdict == "no_worse"
    assert _decide([*_better(), *_worse(suite="mood")], PRIMARY, GUARD).verdict == "worse"


def test_one_suite_that_cannot_tell_holds_the_whole() -> None:
    assert _decide([*_better(), *_equal(10, "mood")], PRIMARY, GUARD).verdict == "cannot_tell"


def test_a_gating_suite_without_samples_cannot_be_no_worse() -> None:
    decision = _decide(_better(), PRIMARY, GUARD)
    assert decision.verdict == "cannot_tell"
    assert "suite mood: no samples" in _text(decision)


def test_report_suites_never_gate() -> None:
    items = [*_better(), *_worse(suite="logged")]
    assert _decide(items, PRIMARY, REPORT).verdict == "better"
    only = _decide(_worse(suite="logged"), REPORT)
    assert only.verdict == "cannot_tell"
    assert "no suite gates" in _text(only)


def test_a_must_pass_sample_that_fails_blocks_whatever_the_averages() -> None:
    failed = sample(900, 1.0, 0.0, must_pass=True)
    decision = _decide([*_better(), failed])
    assert decision.verdict == "worse"
    assert "route-0900" in _text(decision)
    assert "champion passed" in _text(decision)


@pytest.mark.parametrize("answer", [MISSING, UNSCORED, Answer(0.99)])
def test_a_must_pass_sample_without_a_full_score_blocks_in_any_suite(answer: Answer) -> None:
    failed = sample(900, 0.0, answer, "logged", must_pass=True)
    decision = _decide([*_better(), failed, *_equal(5, "logged")], PRIMARY, REPORT)
    assert decision.verdict == "worse"
    assert "champion failed too" in _text(decision)


def test_the_same_release_that_fails_a_must_pass_is_held_but_not_worse_than_itself() -> None:
    decision = _decide([*_equal(), sample(900, 0.0, 0.0, must_pass=True)], same=True)
    assert decision.verdict == "cannot_tell"
    assert "the same release" in _text(decision)


@pytest.mark.parametrize("seed", range(20))
def test_the_same_answers_are_never_better_or_worse_on_twenty_seeds(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(2, 150))
    options = (_RIGHT, _WRONG, Answer(0.4), MISSING, UNSCORED)
    answers = [
        tuple(options[i] for i in draw.choice(5, size=2, p=(0.5, 0.3, 0.1, 0.05, 0.05)))
        for _ in range(count)
    ]
    items = [
        sample(n, both, both, suite, cluster=f"{suite} {draw.integers(0, 1 + count // 2)}")
        for suite in ("route", "mood")
        for n, both in enumerate(answers)
    ]
    decision = _decide(items, PRIMARY, GUARD, same=True)
    assert decision.verdict in ("no_worse", "cannot_tell")
    assert all(suite.verdict in ("no_worse", "cannot_tell") for suite in decision.suites)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((0.0, 0.5, 1.0)), st.sampled_from((0.0, 0.5, 1.0)), st.integers(0, 30)
        ),
        min_size=2,
        max_size=60,
    )
)
def test_swapping_the_releases_never_leaves_both_better_or_both_worse(
    values: list[tuple[float, float, int]],
) -> None:
    items = [
        sample(n, old, new, cluster=str(cluster)) for n, (old, new, cluster) in enumerate(values)
    ]
    one, other = _decide(items), _decide(swapped(items))
    if one.verdict == "worse":
        assert other.verdict == "better"
    if one.verdict == "better":
        # a win beyond the margin is a loss the other way; a smaller one is within its margin
        assert other.verdict in ("worse", "no_worse", "cannot_tell")
        interval = one.suites[0].comparison
        assert interval is not None
        if interval.interval.high >= PRIMARY.margin:
            assert other.verdict == "worse"


def test_a_missing_answer_of_the_challenger_counts_zero() -> None:
    assert sample(1, 1.0, MISSING).difference() == -1.0
    assert sample(1, 0.0, UNSCORED).difference() == 0.0


def test_a_missing_answer_of_the_champion_never_speaks_for_the_challenger() -> None:
    assert sample(1, MISSING, 1.0).difference() == 0.0
    assert sample(1, UNSCORED, MISSING).difference() == 0.0


def test_repeats_are_paired_by_seed_and_averaged_first() -> None:
    item = sample(1, (_RIGHT, MISSING, _WRONG), (_RIGHT, _RIGHT, _RIGHT))
    assert item.difference() == pytest.approx(1 / 3)
    assert item.score("champion") == pytest.approx(1 / 3)
    assert pairs_of([item, sample(2, 0.0, 0.0)]).num_pairs == 2


def test_every_answer_is_in_one_of_the_denominators() -> None:
    found = tally([(_RIGHT,), (MISSING, UNSCORED), (UNSCORED, _RIGHT), (_WRONG, _WRONG)])
    assert (found.num_scored, found.num_missing, found.num_unscored) == (2, 1, 1)
    assert found.lacking_ratio == 0.5
    assert tally([]).lacking_ratio == 0.0


def test_too_many_missing_answers_cannot_pass() -> None:
    items = _better(200)
    items = [answering(s, champion=(MISSING,)) if n < 30 else s for n, s in enumerate(items)]
    decision = _decide(items)
    assert decision.verdict == "cannot_tell"
    assert "of 200 answers of the champion, 30 are missing and 0 could not be scored" in _text(
        decision
    )
    assert "more than 10%" in _text(decision)


def test_too_many_missing_answers_of_the_challenger_can_still_be_worse() -> None:
    items = [answering(s, challenger=(MISSING,)) if n < 60 else s for n, s in enumerate(_equal())]
    assert _decide(items).verdict == "worse"


def test_a_missing_cluster_id_is_an_error() -> None:
    with pytest.raises(ValueError, match="no cluster id"):
        _decide([sample(1, 1.0, 1.0, cluster=""), sample(2, 1.0, 1.0)])


def test_a_sample_of_an_undeclared_suite_is_an_error() -> None:
    with pytest.raises(ValueError, match="undeclared suite"):
        _decide([sample(1, 1.0, 1.0, "other")])


@pytest.mark.parametrize(
    "items", [[sample(1, 0.0, 1.0)], [sample(n, 0.0, 1.0, cluster="one") for n in range(500)]]
)
def test_one_pair_or_one_cluster_cannot_tell(items: list[JudgedSample]) -> None:
    decision = _decide(items)
    assert decision.verdict == "cannot_tell"
    assert decision.suites[0].comparison is None
    assert "at least two clusters" in _text(decision)


def test_gating_suites_share_the_error_rate_and_report_suites_do_not() -> None:
    items = [*_equal(10), *_equal(10, "mood"), *_equal(10, "logged")]
    held = _decide(items, PRIMARY, GUARD, REPORT)
    assert [suite.level for suite in held.suites] == [0.025, 0.025, 0.05]
    settled = _decide([*_equal(400), *_equal(10, "mood")], PRIMARY, GUARD)
    assert [suite.level for suite in settled.suites] == [0.025, 0.05]


def test_a_reason_gives_numbers_denominators_and_the_smallest_difference_seen() -> None:
    told = reasons(_decide(_better()), GATE.max_missing_ratio)
    assert (
        told[0]
        == "better: the challenger wins on suite route, and loses beyond the margin on none."
    )
    assert told[1].startswith(
        "suite route, exact_match: challenger 1.000 against champion 0.500 on 100 samples "
        "(100 independent clusters): +0.500, 95% interval +0.404 to +0.596, margin 0.05, "
        "50 won and 0 lost: better. Smallest difference this set can see: 0.142."
    )


def test_many_failed_must_pass_samples_are_counted_not_hidden() -> None:
    items = [sample(n, 1.0, 0.0, must_pass=True) for n in range(9)]
    assert "and 4 more" in _text(_decide(items))


def test_slices_are_compared_one_by_one() -> None:
    items = [*samples([0.0, 1.0] * 20, [1.0, 1.0] * 20), sample(99, 1.0, 1.0, "mood")]
    even, odd = (part for part in slice_results(items, 0.05) if part.suite == "route")
    assert (even.slice, even.value, even.num_samples, even.difference) == (
        "parity",
        "even",
        20,
        1.0,
    )
    assert (odd.value, odd.difference) == ("odd", 0.0)
    assert even.ci_low is not None
    assert even.ci_low > 0
    alone = next(part for part in slice_results(items, 0.05) if part.suite == "mood")
    assert (alone.num_samples, alone.ci_low, alone.ci_high) == (1, None, None)


def test_known_failures_are_counted_apart_and_cannot_make_a_verdict() -> None:
    """Production's own mistakes, on which an equal release would win too."""
    failures = [sample(n, 0.0, 1.0, origin="failure", slices={}) for n in range(1000, 1100)]
    plain, mixed = _decide(_equal()), _decide([*_equal(), *failures])
    assert (mixed.verdict, mixed.suites[0].num_samples) == ("no_worse", 200)
    assert mixed.suites[0].comparison == plain.suites[0].comparison
    assert mixed.suites[0].num_known_failures == 100
    releases = mixed.suites[0].releases
    assert [releases[role].on_known_failures for role in ROLES] == [0.0, 1.0]
    assert "on 100 known failures of production the challenger scores 1.000" in _text(mixed)
    alone = _decide(failures)
    assert alone.verdict == "cannot_tell"
    assert "no samples but known failures" in _text(alone)


def test_a_known_failure_that_must_pass_still_blocks() -> None:
    known = sample(999, 0.0, 0.0, must_pass=True, origin="failure")
    assert _decide([*_better(), known]).verdict == "worse"


def test_known_failures_are_a_slice_of_their_own() -> None:
    slices = {"origin": "traffic", "parity": "even"}
    items = [sample(n, 1.0, 1.0, slices=slices) for n in range(10)]
    failed = sample(99, 0.0, 1.0, origin="failure", slices={**slices, "origin": "failure"})
    found = {(part.slice, part.value): part for part in slice_results([*items, failed], 0.05)}
    assert found["origin", "failure"].num_samples == 1
    assert found["parity", "even"].num_samples == 10
