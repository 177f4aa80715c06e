from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model.answer import MISSING, Answer
from tasks.model.guardrail import Price
from tasks.model.profile import AnswerProfile, of_pair
from tasks.scoring.profile import is_repeating, profiles, usage
from tests.tasks.gate.cases import sample


@given(st.text(alphabet="ab .x", min_size=1, max_size=9), st.integers(0, 8))
def test_a_phrase_over_and_over_is_found_wherever_it_stops(phrase: str, cut: int):
    text = "The answer: " + phrase * 40
    text = text[: len(text) - cut % len(phrase)]
    assert is_repeating(text) == any(char.isalnum() for char in phrase)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes yes yes yes",
        "-" * 200,
        "| a | b |\n" + "|---|---|\n" * 3 + "| 1 | 2 |",
        "1. one\n2. two\n3. three\n4. four\n5. five\n6. six\n7. seven",
        "no, no, no, no, said she, and went on to tell of what she had seen that day in town",
    ],
)
def test_lists_rules_and_short_texts_are_not_repetition(text: str):
    assert not is_repeating(text)


def test_long_texts_cost_no_time():
    started = time.process_time()
    for _ in range(200):
        is_repeating("a" * 31 + "b" * 60_000 + "c")
    assert time.process_time() - started < 1


def test_answers_are_counted_by_suite_and_release_and_what_is_lost_is_none():
    loop = "the cat sat on the mat " * 9
    judged = [
        sample(0, Answer(0.0, text=" \n", input_tokens=10, output_tokens=2),
               Answer(0.0, text=loop, finish_reason="length", input_tokens=20, output_tokens=50)),
        sample(1, Answer(1.0, text="right", finish_reason="length", input_tokens=30,
                         output_tokens=4), MISSING),
        sample(2, 1.0, Answer(None, text="x", finish_reason="length", fault="judge"), suite="mood"),
    ]  # fmt: skip
    prices = {"champion": Price(1.0, 10.0, "EUR"), "challenger": Price(2.0, 20.0, "EUR")}
    told = {(one.suite, one.role): one for one in profiles(judged, prices)}
    champion = told["route", "champion"]
    assert (champion.num_answers, champion.num_empty, champion.num_cut) == (2, 1, 0)
    assert (champion.input_tokens, champion.output_tokens) == (20.0, 3.0)
    assert champion.cost == pytest.approx((20 + 30) / 1e6)
    challenger = told["route", "challenger"]
    assert (challenger.num_answers, challenger.num_cut, challenger.num_repeating) == (1, 1, 1)
    assert told["mood", "challenger"].num_cut == 1
    assert told["mood", "challenger"].cost is None
    assert profiles(judged, {})[0].cost is None


def test_seconds_are_of_the_answers_that_have_them():
    judged = [sample(n, Answer(1.0, text="a", latency_s=float(n)), Answer(1.0, text="a"))
              for n in range(1, 6)]  # fmt: skip
    champion, challenger = profiles([*judged, sample(9, Answer(1.0, text="a"), 1.0)], {})
    assert (champion.latency_p50_s, champion.latency_p95_s) == pytest.approx((3.0, 4.8))
    assert (challenger.latency_p50_s, challenger.latency_p95_s) == (None, None)


def test_a_few_slips_are_not_told_and_a_share_is():
    profile = AnswerProfile("s", "champion", 100, 0, 0, 0, None, None, None, "")
    assert [profile.is_told(number) for number in (0, 5, 6)] == [False, False, True]
    assert not AnswerProfile("s", "champion", 4, 2, 0, 0, None, None, None, "").is_told(2)


def test_of_several_challengers_a_pair_has_its_own():
    roles = ("champion", "challenger", "challenger_2")
    found = tuple(AnswerProfile("s", role, 9, place, 0, 0, None, None, None, "")
                  for place, role in enumerate(roles))  # fmt: skip
    pair = of_pair(found, "challenger_2")
    assert [(one.role, one.num_empty) for one in pair] == [("champion", 0), ("challenger", 2)]


def test_what_a_thousand_requests_cost_and_take_is_of_all_answers_of_a_release():
    judged = [
        sample(number, Answer(1.0, text="a", input_tokens=100, output_tokens=10 * number),
               Answer(1.0, text="b", latency_s=float(number)), suite=f"suite-{number % 2}")
        for number in range(1, 5)
    ]  # fmt: skip
    judged.append(sample(9, MISSING, MISSING))
    found = usage(judged, {"champion": Price(2.0, 8.0, "EUR")})
    champion, challenger = found["champion"], found["challenger"]
    # 100 tokens in at 2 and 25 out at 8 for a million, a thousand times
    assert (champion.num_requests, champion.currency) == (4, "EUR")
    assert champion.cost_per_1000 == pytest.approx(1000 * (100 * 2 + 25 * 8) / 1e6)
    assert (champion.latency_p50_s, champion.latency_p95_s) == (None, None)
    assert (challenger.cost_per_1000, challenger.currency) == (None, "")
    assert challenger.latency_p50_s == pytest.approx(2.5)
    assert challenger.latency_p95_s == pytest.approx(3.85)
