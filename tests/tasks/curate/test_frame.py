"""The sampling frame: which strata are covered, and what that does to weights and counting."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from tasks.curate.frame import Asked, Drawn, Question, Seen, Uncovered, draw_samples


def _questions(
    stratum: str, count: int, *, num_calls: int = 1, has_target: bool = True, suite: str = "route"
) -> list[Question]:
    is_known = stratum != "unjudged" or has_target
    return [
        Question(
            f"{suite}-{stratum}-{has_target}-{n}", suite, stratum, num_calls,
            num_calls if is_known else 0, num_calls, num_calls if has_target else 0,
        )
        for n in range(count)
    ]  # fmt: skip


def _drawn(
    questions: Iterable[Question],
    asked: Iterable[Asked] = (),
    *,
    max_samples: int = 1_000,
    judged_represent_all: bool = False,
) -> Drawn:
    return draw_samples(
        questions, asked, gating={"route", "mood"}, max_samples=max_samples,
        judged_represent_all=judged_represent_all, seed=0,
    )  # fmt: skip


def _weight(drawn: Drawn, part: str) -> float:
    return math.fsum(weight for key, weight in drawn.weights.items() if part in key)


def test_samples_of_a_stratum_stand_for_all_its_calls_also_those_without_a_target() -> None:
    questions = _questions("failed", 40) + _questions("failed", 160, has_target=False)
    questions += _questions("liked", 800)
    drawn = _drawn(questions, max_samples=100)
    assert len(drawn.weights) == 100
    assert not drawn.uncovered
    assert _weight(drawn, "failed") / _weight(drawn, "") == pytest.approx(0.2)
    assert _weight(drawn, "") == pytest.approx(100)  # 1 on average
    assert [(s.stratum, s.num_calls, s.num_candidates) for s in drawn.strata] == [
        ("failed", 200, 40), ("liked", 800, 800),
    ]  # fmt: skip
    assert sum(s.num_drawn for s in drawn.strata) == 100


def test_a_question_asked_often_comes_by_a_target_more_easily_and_stands_for_fewer() -> None:
    """Of 100 questions asked once and 100 asked three times, every call is corrected with a chance
    of 1/4: the former stand for a quarter of the calls, whatever share of either has a target."""
    once = [Question(f"once-{n}", "route", "failed", 1, 1, 1, n < 25) for n in range(100)]
    chance = 1 - 0.75**3
    thrice = [
        Question(f"thrice-{n}", "route", "failed", 3, 3, 3, round(100 * chance) > n)
        for n in range(100)
    ]
    # those that have any have three quarters of the corrections between them
    thrice = [replace(q, num_targets=q.num_targets and (2 if n < 17 else 1))
              for n, q in enumerate(thrice)]  # fmt: skip
    drawn = _drawn(once + thrice)
    assert sum(q.num_targets for q in once + thrice) == 100
    assert _weight(drawn, "once") / _weight(drawn, "") == pytest.approx(0.25, abs=0.002)


@pytest.mark.parametrize("stratum", ["failed", "unjudged"])
def test_a_stratum_without_a_known_answer_makes_the_others_a_selection_by_outcome(
    stratum: str,
) -> None:
    questions = _questions("liked", 300) + _questions(stratum, 700, has_target=False)
    drawn = _drawn(questions)
    assert drawn.uncovered == (Uncovered("route", stratum, 700, 1_000, 0),)
    assert drawn.suites_not_counted == {"route"}


def test_a_stratum_for_which_there_is_no_place_is_not_stood_for_either() -> None:
    questions = _questions("liked", 300) + _questions("failed", 100) + _questions("unjudged", 9)
    assert not _drawn(questions, max_samples=3).uncovered
    (missed, *others) = _drawn(questions, max_samples=2).uncovered
    assert (missed.num_candidates > 0, others) == (True, [])


def test_a_stratum_of_a_hundredth_is_stood_for_by_the_others() -> None:
    liked = _questions("liked", 990)
    assert not _drawn(liked + _questions("unjudged", 10, has_target=False)).uncovered
    assert _drawn(liked + _questions("unjudged", 11, has_target=False)).uncovered


def test_audited_calls_stand_for_those_that_nobody_judged() -> None:
    questions = _questions("liked", 200) + _questions("unjudged", 50)
    questions += _questions("unjudged", 750, has_target=False)
    drawn = _drawn(questions)
    assert not drawn.uncovered
    assert _weight(drawn, "unjudged") / _weight(drawn, "") == pytest.approx(0.8)


def test_where_judged_calls_represent_all_only_they_are_in_proportion() -> None:
    questions = _questions("liked", 240) + _questions("failed", 60)
    questions += _questions("unjudged", 700, has_target=False)
    # a question that is asked often is judged more often: it must not count by all of its calls
    popular = Question("popular", "route", "liked", 1_000, 300, num_own=300, num_targets=300)
    asked = Asked("written", "route", 500)
    drawn = _drawn([*questions, popular], [asked], judged_represent_all=True)
    assert not drawn.uncovered
    whole = _weight(drawn, "")
    assert _weight(drawn, "written") / whole == pytest.approx(500 / 2_500)
    assert _weight(drawn, "popular") / whole == pytest.approx(0.8 * 300 / 600)
    assert _weight(drawn, "failed") / whole == pytest.approx(0.8 * 60 / 600)


def test_calls_that_a_hand_written_sample_stands_for_need_no_other() -> None:
    liked = _questions("liked", 100)
    unjudged = _questions("unjudged", 5, has_target=False)
    drawn = _drawn(liked + unjudged, [Asked("written", "route", 895)])
    assert not drawn.uncovered
    assert _weight(drawn, "written") == pytest.approx(101 * 0.895)


def test_what_does_not_count_is_on_a_scale_of_its_own() -> None:
    questions = _questions("liked", 300) + _questions("unjudged", 700, has_target=False)
    drawn = _drawn(questions, [Asked("one", "route", 3), Asked("other", "route", 1)])
    assert drawn.weights["one"] == pytest.approx(1.5)
    assert _weight(drawn, "liked") == pytest.approx(300)


def test_places_go_first_to_suites_that_gate_and_can() -> None:
    able = _questions("liked", 100)
    unable = _questions("liked", 100, suite="mood")
    unable += _questions("failed", 100, has_target=False, suite="mood")
    logged = _questions("unjudged", 100, suite="logged")
    drawn = {
        places: {
            suite: sum(s.num_drawn for s in _drawn(
                able + unable + logged, max_samples=places).strata if s.suite == suite)
            for suite in ("route", "mood", "logged")
        }
        for places in (50, 150, 250)
    }  # fmt: skip
    assert drawn == {
        50: {"route": 50, "mood": 0, "logged": 0},
        150: {"route": 100, "mood": 50, "logged": 0},
        250: {"route": 100, "mood": 100, "logged": 50},
    }


def test_the_suite_that_never_gates_is_never_selected_by_outcome() -> None:
    questions = _questions("unjudged", 10, suite="logged")
    questions += _questions("failed", 10, has_target=False, suite="logged")
    assert not _drawn(questions).uncovered


def test_where_nothing_is_drawn_nothing_is_uncovered() -> None:
    unjudged = _questions("unjudged", 700, has_target=False)
    assert not _drawn(unjudged, [Asked("written", "route", 3)]).uncovered


@pytest.mark.parametrize("judged_represent_all", [False, True])
def test_what_was_all_read_is_weighed_as_where_nobody_asks_how_it_was_read(
    judged_represent_all: bool,
) -> None:
    questions = [
        Question(f"{stratum}-{n}", "route", stratum, 9, 3, own := 1 + n % 4, min(own, n % 3))
        for stratum in ("failed", "liked")
        for n in range(60)
    ]
    seen = [
        replace(question, seen=Seen(3, 6, 3, 6), own_seen=_all_read(question))
        for question in questions
    ]
    plain, told = (
        _drawn(part, max_samples=50, judged_represent_all=judged_represent_all)
        for part in (questions, seen)
    )
    assert told.weights == pytest.approx(plain.weights)
    assert told.strata == plain.strata


def _all_read(question: Question) -> Seen:
    """Half of the targets, at least, somebody wrote."""
    own, written = int(question.num_own), math.ceil(question.num_targets / 2)
    return Seen(written, own - written, written, own - written)


def test_a_question_of_which_a_tenth_was_read_is_likelier_to_show_what_is_read_first() -> None:
    """200 questions asked 20 times, of which 2 were read, and 200 asked once, all read. One call in
    forty was audited, and read for that: of the former two in five have an audit, which they would
    not if only those that were read could."""
    chance = 1 - (1 - 1 / 40) ** 20
    often, once = [], []
    for n in range(200):
        audits = int(n < 200 * chance)
        often.append(Question(
            f"often-{n}", "route", "unjudged", 20, audits, 20, audits,
            own_seen=Seen(audits, 2, audits, 20 - audits),
        ))  # fmt: skip
        audits = int(n < 5)
        once.append(Question(
            f"once-{n}", "route", "unjudged", 1, audits, 1, audits,
            own_seen=Seen(audits, 1 - audits, audits, 1 - audits),
        ))  # fmt: skip
    drawn = _drawn(often + once)
    assert _weight(drawn, "once") / _weight(drawn, "") == pytest.approx(1 / 21, rel=0.15)
