"""Scores of answers that were weighed, by hand arithmetic."""

from __future__ import annotations

import math

import pytest

from tasks.errors import UsageError
from tasks.model.likelihoods import Likelihood, from_text, to_text
from tasks.scoring.instrument import instrument
from tasks.scoring.suites import also_instruments, suite_instrument
from tasks.settings import parse_settings

#: the first is likelier; by character the second is: -4 / 2 = -2, -9 / 6 = -1.5
SHORT, LONG = Likelihood(" no", -4.0, 1), Likelihood(" indeed", -9.0, 2)
BOTH = to_text([SHORT, LONG])


@pytest.mark.parametrize(("normalised", "chosen"), [(False, " no"), (True, " indeed")])
def test_the_likeliest_choice_is_the_answer(normalised: bool, chosen: str):
    scorer = instrument({"name": "multiple_choice", "normalised": normalised})
    for target in (" no", " indeed"):
        score = scorer.score(BOTH, target)
        assert (score.value, score.answer) == (float(target == chosen), chosen)
    assert ("-1.5" in score.explanation) is normalised


def test_of_equal_choices_the_first_is_taken():
    equal = to_text([Likelihood("b", -1.0, 1), Likelihood("a", -1.0, 1)])
    assert instrument("multiple_choice").score(equal, "b").value == 1.0


def test_a_likelihood_is_the_mean_by_byte():
    # "Österreich" has 11 bytes; 22 bits are two a byte
    weighed = to_text([Likelihood("Österreich", -22 * math.log(2), 4)])
    score = instrument("likelihood").score(weighed, "Österreich")
    assert score.value == pytest.approx(0.25)
    assert "2.0000 bits a byte" in score.explanation
    assert f"perplexity {2**5.5:.4g} of 4 tokens" in score.explanation


@pytest.mark.parametrize("text", ["", "Oslo", "[]", "{}", '{"loglikelihoods": []}',
                                  '{"loglikelihoods": [{"text": "a", "logprob": NaN}]}',
                                  '{"loglikelihoods": [1]}', "[" * 100_000])  # fmt: skip
@pytest.mark.parametrize("name", ["multiple_choice", "likelihood"])
def test_what_was_not_weighed_is_unscored(name: str, text: str):
    assert instrument(name).score(text, "a").value is None


def test_a_target_that_was_not_weighed_is_unscored():
    assert instrument("multiple_choice").score(BOTH, "maybe").value is None
    assert instrument("likelihood").score(to_text([SHORT]), "maybe").value is None


def test_choices_that_look_like_thoughts_stay_whole():
    choices = [Likelihood("<think>a</think>b", -1.0, 3), Likelihood("c</think>", -2.0, 2)]
    assert list(from_text(to_text(choices))) == choices
    score = instrument("multiple_choice").score(to_text(choices), "<think>a</think>b")
    assert (score.value, score.answer) == (1.0, "<think>a</think>b")


def test_a_mode_has_a_scorer_of_its_own_and_takes_no_other():
    def suite(**declared: object) -> None:
        settings = parse_settings({"suites": {"s": declared}}, base=".")
        read.append(suite_instrument(settings, "s").metric)
        also_instruments(settings, "s")

    read: list[str] = []
    suite()
    suite(mode="choose")
    suite(mode="perplexity")
    suite(mode="choose", scorer={"name": "multiple_choice", "normalised": True},
          also=["multiple_choice"])  # fmt: skip
    assert read == ["exact_match", "multiple_choice", "likelihood",
                    "multiple_choice(normalised=true)"]  # fmt: skip
    for wrong in (
        {"mode": "choose", "scorer": "exact_match"},
        {"mode": "choose", "also": ["length"]},
        {"mode": "choose", "scorer": {"composite": [{"scorer": "exact"}, {"scorer": "refusal"}]}},
        {"mode": "perplexity", "scorer": "multiple_choice"},
        {"scorer": "multiple_choice"},
    ):
        with pytest.raises(UsageError, match="mode = "):
            suite(**wrong)
    mixed = [{"scorer": "exact"}, {"scorer": "multiple_choice"}]
    with pytest.raises(UsageError, match="different modes"):
        suite(scorer={"composite": mixed})
    with pytest.raises(UsageError, match="sessions"):
        suite(mode="choose", sessions=True)
