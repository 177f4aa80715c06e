"""From answers to the verdict of a run, and the sentences that explain it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evidence.arrays import evidence_of
from tasks.evidence.must_pass import must_pass
from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide, interval_verdict, tally
from tasks.model.answer import MISSING, ROLES, UNSCORED, Answer, JudgedSample
from tasks.model.comparison import Interval
from tasks.model.verdict import Decision, SliceResult, SuiteRule
from tasks.scoring import policy
from tests.tasks.gate.cases import GATE, GUARD, PRIMARY, REPORT, answering, sample, samples, swapped

_RIGHT, _WRONG = Answer(1.0), Answer(0.0)
_FAILED = Answer(is_missing=True, fault="release", error="the prompt is too long")


def _decide(items: list[JudgedSample], *rules: SuiteRule, same: bool = False) -> Decision:
    return decide(items, rules or (PRIMARY,), GATE, is_same_release=same)


def _better(count: int = 100, suite: str = "route") -> list[JudgedSample]:
    return samples([0.0, 1.0] * (count // 2), [1.0] * count, suite)


def _worse(count: int = 100, suite: str = "route") -> list[JudgedSample]:
    return swapped(_better(count, suite))


def _equal(count: int = 200, suite: str = "route") -> list[JudgedSample]:
    return samples([1.0] * count, [1.0] * count, suite)


def _text(decision: Decision) -> str:
    return " ".join(reasons(decision, GATE))


def test_a_pinned_sample_blocks_and_is_part_of_no_number() -> None:
    pinned = sample(900, 1.0, 0.0, must_pass=True)
    pinned = replace(pinned, sample=replace(pinned.sample, origin="pin", is_counted=False))
    alone, besides = _decide(_better()), _decide([*_better(), pinned])
    assert (alone.verdict, besides.verdict) == ("better", "blocked")
    assert besides.must_pass.failed == (pinned,)
    assert besides.suites == alone.suites
    assert besides.slices == alone.slices


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
    given = Interval(low, high)
    certain = {"is_won": low > 0, "is_lost": high < 0}
    assert interval_verdict(given, 0.05, role, **certain) == verdict  # type: ignore[arg-type]


def test_a_win_or_loss_that_is_not_certain_among_many_is_none() -> None:
    assert interval_verdict(
        Interval(0.01, 0.1), 0.05, "primary", is_won=False, is_lost=False
    ) == "no_worse"  # fmt: skip
    assert interval_verdict(
        Interval(-0.1, -0.01), 0.05, "guard", is_won=False, is_lost=False
    ) == "cannot_tell"  # fmt: skip


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
    assert decision.verdict == "blocked"
    assert "route-0900" in _text(decision)
    assert "the champion passes and the challenger failed" in _text(decision)


@pytest.mark.parametrize("answer", [_FAILED, Answer(0.99)])
def test_a_must_pass_sample_without_a_full_score_blocks_in_any_suite(answer: Answer) -> None:
    failed = sample(900, 0.0, answer, "logged", must_pass=True)
    decision = _decide([*_better(), failed, *_equal(5, "logged")], PRIMARY, REPORT)
    assert decision.verdict == "blocked"
    assert decision.must_pass.old == (failed,)
    assert "1 that the champion fails too" in _text(decision)
    assert "champion and challenger both failed" in _text(decision)


@pytest.mark.parametrize("answer", [MISSING, UNSCORED])
def test_what_must_pass_and_got_lost_holds_and_blames_nobody(answer: Answer) -> None:
    lost = sample(900, 1.0, answer, "logged", must_pass=True)
    decision = _decide([*_equal(), lost], PRIMARY, REPORT)
    assert decision.verdict == "cannot_tell"
    assert decision.must_pass.unknown == (lost,)
    assert "1 answer to what must pass got lost" in _text(decision)


def test_a_slip_among_repeats_is_no_failure_and_many_slips_are() -> None:
    def repeats(num_passed: int) -> tuple[Answer, ...]:
        return (_RIGHT,) * num_passed + (_WRONG,) * (5 - num_passed)

    demanded = [sample(n, repeats(5), repeats(5), must_pass=True) for n in range(800, 809)]
    for num_passed, verdict in ((5, "no_worse"), (4, "no_worse"), (3, "blocked")):
        item = sample(900, repeats(5), repeats(num_passed), must_pass=True)
        assert _decide([*_equal(), *demanded, item]).verdict == verdict


def test_equal_releases_that_pass_98_in_100_are_seldom_blocked() -> None:
    draw = np.random.default_rng(4)
    rounds, blocked = 2000, 0
    for _ in range(rounds):
        passed = draw.random((10, 2, 5)) < 0.98
        demanded = [
            sample(n, *(tuple(map(Answer, release.astype(float))) for release in both),
                   must_pass=True)
            for n, both in enumerate(passed)
        ]  # fmt: skip
        blocked += bool(must_pass(demanded, GATE).failed)
    assert blocked / rounds <= 0.05


def test_the_same_release_that_fails_a_must_pass_is_blocked_and_not_worse_than_itself() -> None:
    decision = _decide([*_equal(), sample(900, 0.0, 0.0, must_pass=True)], same=True)
    assert decision.verdict == "blocked"
    assert "the same release" in _text(decision)


@pytest.mark.parametrize("seed", range(20))
def test_the_same_answers_are_never_better_or_worse_on_twenty_seeds(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(2, 150))
    options = (_RIGHT, _WRONG, Answer(0.4), MISSING, UNSCORED, _FAILED)
    answers = [
        tuple(options[i] for i in draw.choice(6, size=2, p=(0.5, 0.3, 0.1, 0.03, 0.03, 0.04)))
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


def test_a_releases_own_failure_counts_against_it_on_either_side() -> None:
    assert sample(1, 1.0, _FAILED).difference() == -1.0
    assert sample(1, _FAILED, 1.0).difference() == 1.0
    assert sample(1, 0.0, _FAILED).difference() == 0.0


@pytest.mark.parametrize("lost", [MISSING, UNSCORED, Answer(is_missing=True)])
def test_what_nobody_knows_counts_for_no_release(lost: Answer) -> None:
    for item in (sample(1, 1.0, lost), sample(1, lost, 1.0)):
        assert item.difference() is None
    evidence = evidence_of([sample(1, 1.0, lost), sample(2, lost, 1.0), sample(3, lost, lost)])
    assert evidence.worst.tolist() == [-1.0, 0.0, -1.0]
    assert evidence.best.tolist() == [0.0, 1.0, 1.0]
    assert evidence.mean("champion") == evidence.mean("challenger") == 1.0


def test_repeats_are_averaged_first_over_those_that_are_known() -> None:
    item = sample(1, (_RIGHT, MISSING, _WRONG), (_RIGHT, _RIGHT, _FAILED))
    assert item.score("champion") == 0.5
    assert item.score("challenger") == pytest.approx(2 / 3)
    assert item.spread("champion") == pytest.approx((1 / 3, 1 / 2, 2 / 3))
    assert item.difference() == pytest.approx(1 / 6)


def test_every_answer_is_in_one_of_the_denominators() -> None:
    items = [
        sample(1, (_RIGHT, _RIGHT), (_RIGHT, MISSING)),
        sample(2, (_FAILED, UNSCORED), (MISSING, UNSCORED)),
    ]
    champion, challenger = (tally(items, role) for role in ROLES)
    assert (champion.num_scored, champion.num_failed) == (2, 1)
    assert (champion.num_missing, champion.num_unscored) == (0, 1)
    assert (challenger.num_scored, challenger.num_missing, challenger.num_unscored) == (1, 2, 1)
    assert challenger.unknown_ratio == 0.75
    assert tally([], "champion").unknown_ratio == 0.0


def test_under_repeats_answers_are_counted_one_by_one() -> None:
    repeats = [(_RIGHT,) * 4 + (MISSING,) if n < 15 else (_RIGHT,) * 5 for n in range(100)]
    items = [sample(n, (_RIGHT,) * 5, answers) for n, answers in enumerate(repeats)]
    assert "of 500 answers of the challenger, 15 are missing" in _text(_decide(items))


def test_too_many_missing_answers_cannot_pass() -> None:
    items = _better(200)
    items = [answering(s, champion=(MISSING,)) if n < 30 else s for n, s in enumerate(items)]
    decision = _decide(items)
    assert decision.verdict == "cannot_tell"
    assert "of 200 answers of the champion, 30 are missing and 0 could not be scored" in _text(
        decision
    )
    assert "more than 10%" in _text(decision)


@pytest.mark.parametrize(("role", "verdict"), [("challenger", "worse"), ("champion", "better")])
def test_a_release_that_fails_by_its_own_fault_loses(role: str, verdict: str) -> None:
    items = [answering(s, **{role: (_FAILED,)}) if n < 60 else s for n, s in enumerate(_equal())]
    decision = _decide(items)
    assert decision.verdict == verdict
    assert f"of 200 answers of the {role}, 60 failed through its own fault" in _text(decision)


@pytest.mark.parametrize("role", ROLES)
def test_a_verdict_holds_whatever_the_lost_answers_were_or_there_is_none(role: str) -> None:
    def losing(count: int) -> Decision:
        items = [answering(s, **{role: (MISSING,)}) if n < count else s
                 for n, s in enumerate(_equal(400))]  # fmt: skip
        return _decide(items)

    few, some = losing(4), losing(24)
    assert few.verdict == "no_worse"
    assert "whatever those answers were, it is no_worse" in _text(few)
    # at the champion's wins the pairs are decided before the lost answer is known
    assert some.verdict == ("cannot_tell" if role == "challenger" else "no_worse")
    if role == "challenger":
        tipping = some.suites[0].num_tipping
        assert tipping is not None
        assert 0 < tipping < 24
        assert f"if at most {tipping} of the samples" in _text(some)
        as_losses = [answering(s, challenger=(_WRONG,)) if n < tipping else s
                     for n, s in enumerate(_equal(400))]  # fmt: skip
        assert _decide(as_losses).verdict == "no_worse"


@pytest.mark.parametrize("lost_by", ROLES)
def test_missing_answers_do_not_hide_a_loss_of_the_margin(lost_by: str) -> None:
    """At a true loss of the margin, with a tenth of the answers lost, few pass."""
    draw = np.random.default_rng(8)
    rounds, passed = 150, 0
    for _ in range(rounds):
        change, lost = draw.random(400), draw.random(400) < 0.1
        old = np.where(change < 0.05, 0.0, 1.0)
        new = np.where((change >= 0.05) & (change < 0.15), 0.0, 1.0)
        items = samples(old.tolist(), new.tolist())
        items = [answering(s, **{lost_by: (MISSING,)}) if gone else s
                 for s, gone in zip(items, lost, strict=True)]  # fmt: skip
        passed += _decide(items).verdict in ("no_worse", "better")
    # nominal 0.025, with three standard errors of the simulation
    assert passed / rounds <= 0.025 + 0.038


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


def test_every_suite_passes_at_the_full_error_rate_however_many_there_are() -> None:
    rules = [replace(PRIMARY, name=f"suite {n}") for n in range(10)]
    items = [item for rule in rules for item in _equal(73, rule.name)]
    decision = _decide(items, *rules)
    assert decision.verdict == "no_worse"
    assert {suite.level for suite in decision.suites} == {GATE.alpha}


def test_a_loss_or_a_win_must_be_certain_among_all_suites() -> None:
    """12 lost and 2 won of 200: p = 0.004 alone, more than 0.025 among ten."""
    lost = samples([1.0] * 12 + [0.0] * 2 + [1.0] * 86, [0.0] * 12 + [1.0] * 2 + [1.0] * 86)
    others = [replace(PRIMARY, name=f"suite {n}") for n in range(9)]
    equal = [item for rule in others for item in _equal(200, rule.name)]
    assert _decide(lost).verdict == "worse"
    assert _decide([*lost, *equal], PRIMARY, *others).suites[0].verdict == "cannot_tell"
    assert _decide(swapped(lost)).verdict == "better"
    assert _decide([*swapped(lost), *equal], PRIMARY, *others).verdict == "no_worse"


def test_a_reason_gives_numbers_denominators_and_what_the_set_can_decide() -> None:
    told = reasons(_decide(_better()), GATE)
    assert (
        told[0]
        == "better: the challenger wins on suite route, and loses beyond the margin on none."
    )
    assert told[1] == (
        "suite route, exact_match: challenger 100.0% against champion 50.0% on 100 samples "
        "(100 independent clusters): +50.0 points, 95% interval +40.4 to +59.6, margin 5, "
        "50 won and 0 lost: better. An equal release passes this set with probability 10%; "
        "1570 such samples give 80%."
    )


def test_a_loss_within_the_margin_is_called_one() -> None:
    graded = samples([0.9] * 400, [0.89, 0.87] * 200)
    decision = _decide(graded)
    assert decision.verdict == "no_worse"
    assert "worse by at most 2.9 points, within the 5 that are allowed" in _text(decision)


def test_a_guard_that_gains_says_why_it_is_not_better() -> None:
    decision = _decide([*_equal(), *_better(suite="mood")], PRIMARY, GUARD)
    assert "no_worse (a guard cannot win)" in _text(decision)


def test_weights_count_as_traffic_does() -> None:
    """A greeting that is nine tenths of production, broken, among 149 samples that are fine."""
    fine = [sample(n, 1.0, 1.0, weight=0.1) for n in range(149)]
    decision = _decide([*fine, sample(900, 1.0, 0.0, weight=134.1)])
    (suite,) = decision.suites
    assert suite.difference == pytest.approx(-0.9)
    assert decision.verdict in ("worse", "cannot_tell")
    assert "worth 1 of equal weight" in _text(decision)


def test_many_failed_must_pass_samples_are_counted_not_hidden() -> None:
    items = [sample(n, 1.0, 0.0, must_pass=True) for n in range(9)]
    assert "and 4 more" in _text(_decide(items))


def test_a_score_that_is_none_is_an_error() -> None:
    for wrong in (float("nan"), 1.2, -0.1):
        with pytest.raises(ValueError, match="not in 0 to 1"):
            _decide([sample(1, 1.0, wrong), sample(2, 1.0, 1.0)])


def _slices(items: list[JudgedSample], *rules: SuiteRule) -> dict[tuple[str, str], SliceResult]:
    return {(part.slice, part.value): part for part in _decide(items, *rules).slices}


def test_slices_are_compared_one_by_one() -> None:
    items = [*samples([0.0, 1.0] * 20, [1.0, 1.0] * 20), sample(99, 1.0, 1.0, "mood", slices={})]
    even, odd = (_slices(items, PRIMARY, GUARD)["parity", value] for value in ("even", "odd"))
    assert (even.num_samples, even.difference, odd.difference) == (20, 1.0, 0.0)
    assert even.ci_low is not None
    assert even.ci_low > 0
    alone = _slices([sample(1, 1.0, 1.0), sample(2, 1.0, 1.0)])["parity", "odd"]
    assert (alone.num_samples, alone.ci_low, alone.ci_high) == (1, None, None)


def _with_languages(num_lost: int) -> list[JudgedSample]:
    """1,960 English samples that are fine and 40 Polish ones of which some are lost."""
    return [
        sample(n, 1.0, 0.0 if n < num_lost else 1.0, slices={"language": "pl" if n < 40 else "en"})
        for n in range(2000)
    ]


def test_a_slice_that_collapses_is_named_and_holds() -> None:
    assert _decide(_with_languages(0)).verdict == "no_worse"
    decision = _decide(_with_languages(30))
    assert decision.suites[0].verdict == "no_worse"
    assert decision.verdict == "worse"
    text = _text(decision)
    assert text.startswith("worse: the challenger loses on slice language=pl of suite route.")
    assert "challenger 25.0% against champion 100.0% on 40 samples" in text


def test_slices_that_collapse_are_named_suite_by_suite() -> None:
    decision = _decide(_with_languages(30))
    (part,) = [part for part in decision.slices if part.is_alarm]
    others = [replace(part, value="de"), replace(part, suite="mood")]
    text = _text(replace(decision, slices=(part, *others)))
    told = "slices language=pl, language=de of suite route, and on slice language=pl of suite mood."
    assert text.startswith(f"worse: the challenger loses on {told}")


def test_a_guarded_slice_must_be_no_worse_by_its_own_margin() -> None:
    items = _with_languages(3)
    guarded = replace(PRIMARY, slices={"language": 0.05})
    decision = _decide(items, guarded)
    assert decision.verdict == "cannot_tell"
    assert "slice language=pl of suite route is guarded" in _text(decision)
    assert _decide(items, replace(PRIMARY, slices={"language": 0.3})).verdict == "no_worse"


def test_a_guarded_slice_without_samples_holds() -> None:
    decision = _decide(_equal(), replace(PRIMARY, slices={"language": 0.1}))
    assert decision.verdict == "cannot_tell"
    assert "no sample is in it" in _text(decision)


def test_slices_of_report_suites_hold_nothing() -> None:
    lost = [sample(n, 1.0, 0.0, "logged", slices={"language": "pl"}) for n in range(200)]
    decision = _decide([*_equal(), *lost], PRIMARY, replace(REPORT, slices={"language": 0.1}))
    assert decision.verdict == "no_worse"


def test_equal_releases_seldom_raise_an_alarm_among_twenty_slices() -> None:
    draw = np.random.default_rng(6)
    rounds, alarms = 60, 0
    for _ in range(rounds):
        scores = (draw.random((2, 800)) < 0.8).astype(float)
        items = [
            sample(n, old, new, slices={"kind": str(n % 20)})
            for n, (old, new) in enumerate(scores.T)
        ]
        alarms += any(part.is_alarm for part in _decide(items).slices)
    assert alarms <= 3


def test_what_is_not_counted_is_shown_apart_and_cannot_make_a_verdict() -> None:
    """Drawn by outcome: an equal release would win on them too."""
    drawn = [sample(n, 0.0, 1.0, is_counted=False, slices={}) for n in range(1000, 1100)]
    plain, mixed = _decide(_equal()), _decide([*_equal(), *drawn])
    assert (mixed.verdict, mixed.suites[0].num_samples) == ("no_worse", 200)
    assert mixed.suites[0].comparison == plain.suites[0].comparison
    assert mixed.suites[0].num_shown == 100
    assert [mixed.suites[0].releases[role].on_shown for role in ROLES] == [0.0, 1.0]
    assert "on which the challenger scores 100.0% and the champion 0.0%" in _text(mixed)
    alone = _decide(drawn)
    assert alone.verdict == "cannot_tell"
    assert "no samples that count" in _text(alone)


def test_what_is_not_counted_and_must_pass_still_blocks() -> None:
    shown = sample(999, 0.0, 0.0, must_pass=True, is_counted=False)
    assert _decide([*_equal(), shown]).verdict == "blocked"


def test_the_origin_says_how_production_did_and_is_not_watched() -> None:
    """An equal release loses where production was right and wins where it was wrong."""
    items = [sample(n, 1.0, float(n % 5 > 0), slices={"origin": "traffic"}) for n in range(800)]
    items += [sample(n, 0.0, float(n % 5 > 0), slices={"origin": "failure"})
              for n in range(800, 1000)]  # fmt: skip
    decision = _decide(items)
    assert {part.role for part in decision.slices} == {"report"}
    assert decision.verdict == "no_worse"


def test_what_is_not_counted_is_a_slice_of_its_origin_alone() -> None:
    slices = {"origin": "traffic", "parity": "even"}
    items = [sample(n, 1.0, 1.0, slices=slices) for n in range(10)]
    shown = sample(99, 0.0, 1.0, slices={**slices, "origin": "failure"}, is_counted=False)
    parts = _slices([*items, shown])
    assert parts["origin", "failure"].num_samples == 1
    assert parts["origin", "failure"].role == "report"
    assert parts["parity", "even"].num_samples == 10


def test_a_small_loss_spread_over_suites_is_told_and_does_not_gate() -> None:
    """Two points in each of ten suites: no suite can tell, all together can."""
    rules = [replace(GUARD, name=f"suite {n}") for n in range(10)]
    items = [
        item for rule in rules for item in samples([1.0] * 400, [0.0] * 8 + [1.0] * 392, rule.name)
    ]
    decision = _decide(items, *rules)
    assert decision.verdict == "no_worse"
    assert decision.pooled is not None
    assert decision.pooled.difference == pytest.approx(-0.02)
    assert decision.pooled.interval.high < 0
    assert "over all of them together a loss is certain" in _text(decision)
    assert _decide(_equal()).pooled is None


def test_a_conversation_in_several_suites_is_one_cluster_of_them_together() -> None:
    items = [sample(n, 1.0, 1.0, suite, cluster=f"session {n}")
             for suite in ("route", "mood") for n in range(50)]  # fmt: skip
    pooled = _decide(items, PRIMARY, GUARD).pooled
    assert pooled is not None
    assert pooled.effective_samples == pytest.approx(50)


def test_rules_that_changed_after_the_plan_are_named() -> None:
    planned = policy.policy([PRIMARY], GATE)
    now = policy.policy([replace(PRIMARY, margin=0.2, slices={"language": 0.1})], GATE)
    assert policy.changes(planned, planned) == ()
    assert policy.changes(planned, now) == (
        "suites.route.margin 0.05 → 0.2", "suites.route.slices.language not set → 0.1",
    )  # fmt: skip
    assert policy.digest(planned) != policy.digest(now)
    told = reasons(_decide(_equal()), GATE, policy.changes(planned, now))
    assert "by other rules than were planned" in told[1]
    assert "suites.route.margin 0.05 → 0.2" in told[1]
