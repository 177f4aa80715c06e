"""No margin below what the champion against itself reaches can be passed."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from tasks.gate.noise import is_within_noise
from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide
from tasks.model.answer import Answer, JudgedSample
from tasks.model.comparison import Interval
from tasks.model.noise import Condition, KnownNoise, Noise, Repetition, SuiteNoise
from tasks.model.verdict import Decision, SliceResult, SuiteResult, SuiteRule
from tests.tasks.gate.cases import GATE, PRIMARY, answering, samples

_SCORER = "exact_match@1"


def known(scattered: float, num_samples: int = 200, scorer: str = _SCORER) -> KnownNoise:
    """Of the suite route: the engine changes nothing, another seed moves it so far."""
    still = Repetition(100, 0, 0, 100, 0, 0.0, 0.0, 0.0)
    moved = replace(still, num_changed=40, num_moved=9, scatter=scattered)
    conditions = (
        Condition("batch", "another batch and order", is_promised=True),
        Condition("seed", "another seed"),
        Condition("judge", "judging again"),
    )
    parts = {"batch": still, "seed": moved, "judge": still}
    suite = SuiteNoise("route", scorer, num_samples, parts)  # type: ignore[arg-type]
    return KnownNoise(Noise("current", "old", 1, conditions, (suite,)), "run-7", 7.3)


def judged(items: list[JudgedSample]) -> list[JudgedSample]:
    """With the scorer that judged them."""

    def by(answers: tuple[Answer, ...]) -> tuple[Answer, ...]:
        return tuple(replace(answer, scorer=_SCORER) for answer in answers)

    return [answering(i, **{role: by(given) for role, given in i.answers.items()}) for i in items]


def decided(
    old: list[float], new: list[float], noise: KnownNoise | None, rule: SuiteRule = PRIMARY
) -> Decision:
    return decide(judged(samples(old, new)), (rule,), GATE, is_same_release=False, noise=noise)


EQUAL = ([1.0] * 200, [1.0] * 200)
BETTER = ([0.0, 1.0] * 100, [1.0] * 200)


def test_a_margin_below_the_floor_cannot_be_passed_and_it_is_said_why() -> None:
    assert decided(*EQUAL, known(0.049)).verdict == "no_worse"
    decision = decided(*EQUAL, known(0.051))
    assert decision.verdict == "cannot_tell"
    first, *_, line, held = reasons(decision, GATE)
    assert first == "cannot_tell: on suite route the margin is below the noise floor."
    assert line == (
        "Noise floor (run run-7, 7 days ago): the engine changes nothing: another batch and order "
        "changed 0 of 100 answers; another seed changed 40 of 100 answers and moves suite route by "
        "up to 5.1 points; judging again changed 0 of 100 scores."
    )
    assert held == (
        "suite route: the margin of 5 points is below the noise floor: 19 times in 20 two runs of "
        "the champion itself differ by up to 5.1 points on 200 such samples, so a pass would say "
        "nothing."
    )


def test_a_win_beyond_the_floor_and_a_certain_loss_stay_what_they_are() -> None:
    assert decided(*BETTER, known(0.1)).verdict == "better"
    assert decided(*BETTER, known(0.6)).verdict == "cannot_tell"
    assert decided(*BETTER[::-1], known(0.1)).verdict == "worse"
    assert is_within_noise(Interval(-0.01, 0.2), 0.05, 0.06)
    assert not is_within_noise(Interval(0.07, 0.2), 0.05, 0.06)
    assert not is_within_noise(Interval(-0.01, 0.2), 0.05, 0.05)
    assert not is_within_noise(Interval(-0.01, 0.2), 0.05, None)


def test_what_was_not_measured_or_otherwise_holds_nothing_and_is_said() -> None:
    unmeasured = decided(*EQUAL, None)
    assert unmeasured.verdict == "no_worse"
    assert reasons(unmeasured, GATE)[-1] == "Noise floor: not measured, flywheel noise does it."
    for other in (known(0.3, scorer="exact_match@2"), _with_repeats(known(0.3), 4)):
        decision = decided(*EQUAL, other)
        assert decision.verdict == "no_worse"
        assert reasons(decision, GATE)[-1].endswith(
            "Not known of route as judged now: flywheel noise."
        )


def _with_repeats(noise: KnownNoise, repeats: int) -> KnownNoise:
    return replace(noise, noise=replace(noise.noise, repeats=repeats))


def test_the_floor_is_that_of_the_samples_the_verdict_rests_on() -> None:
    """Measured for a suite of 50, where it is twice what it is on 200."""
    decision = decided(*EQUAL, known(0.08, num_samples=50))
    (suite,) = decision.suites
    assert suite.noise_floor == pytest.approx(0.04)
    assert decision.verdict == "no_worse"
    assert SuiteResult.from_json(suite.to_json()).noise_floor == suite.noise_floor


def test_a_guarded_slice_is_held_by_the_floor_at_its_own_size() -> None:
    rule = replace(PRIMARY, slices={"parity": 0.05})
    assert decided(*EQUAL, known(0.03), rule).verdict == "no_worse"
    decision = decided(*EQUAL, known(0.04), rule)  # on half the samples 0.057
    assert decision.suites[0].verdict == "no_worse"
    assert decision.verdict == "cannot_tell"
    held = [part for part in decision.slices if part.holds]
    assert [part.noise_floor for part in held] == [pytest.approx(0.04 * np.sqrt(2))] * 2
    assert SliceResult(**asdict(held[0])) == held[0]
    text = " ".join(reasons(decision, GATE))
    assert "margin 5 points, which is below the noise floor, 5.7: cannot_tell" in text
