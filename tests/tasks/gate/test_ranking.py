"""Ranks of all releases of a run, and which challenger the run came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.gate.ranking import leading, ranking
from tasks.gate.verdict import decide
from tasks.model.answer import UNSCORED, Answer, JudgedSample, Role, challenger_role
from tasks.model.verdict import SHIPS, Rank, SuiteRule
from tasks.scoring.suites import gate_rule
from tasks.settings import parse_settings
from tests.tasks.gate.cases import GATE, GUARD, PRIMARY, REPORT, sample

_ROLES = ("champion", "challenger", "challenger_2", "challenger_3")
_UNSEEN = GATE.unseen_loss


def judged(
    scores: Mapping[Role, Sequence[float | Answer]], suite: str = "route"
) -> list[JudgedSample]:
    return [
        replace(
            sample(number, 0.0, 0.0, suite),
            answers={
                role: (value if isinstance(value, Answer) else Answer(float(value)),)
                for role, value in zip(scores, row, strict=True)
            },
        )
        for number, row in enumerate(zip(*scores.values(), strict=True))
    ]


def ranks(
    items: Sequence[JudgedSample], *rules: SuiteRule, alpha: float = GATE.alpha
) -> dict[tuple[str, Role], Rank]:
    found = ranking(items, rules or (PRIMARY,), alpha, _UNSEEN)
    return {(rank.suite, rank.role): rank for rank in found}


def ends(found: Mapping[tuple[str, Role], Rank], suite: str = "") -> list[tuple[int, int]]:
    return [(rank.low, rank.high) for (name, _), rank in found.items() if name == suite]


def test_what_is_certain_has_one_rank_and_what_is_not_has_several() -> None:
    right = np.arange(300)
    scores = {"champion": right % 2, "challenger": right < 300, "challenger_2": (right + 1) % 2,
              "challenger_3": right % 20 == 0}  # fmt: skip
    found = ranks(judged(scores))
    assert ends(found) == ends(found, "route") == [(2, 3), (1, 1), (2, 3), (4, 4)]
    assert [rank.mean for rank in found.values()][:4] == pytest.approx([0.5, 1.0, 0.5, 0.05])


def test_equal_releases_may_have_any_rank_and_report_suites_none() -> None:
    items = judged(dict.fromkeys(_ROLES, [1.0, 0.0] * 50))
    found = ranks([*items, *judged(dict.fromkeys(_ROLES, [1.0] * 9), "logged")], PRIMARY, REPORT)
    assert {suite for suite, _ in found} == {"", "route"}
    assert ends(found) == [(1, 4)] * 4
    assert ranks(judged(dict.fromkeys(_ROLES, [1.0] * 9), "logged"), PRIMARY, REPORT) == {}


def test_suites_are_pooled_by_their_samples() -> None:
    lost = judged({"champion": [1.0] * 300, "challenger": [0.0] * 300})
    won = judged({"champion": [0.0] * 100, "challenger": [1.0] * 100}, "mood")
    found = ranks([*lost, *won], PRIMARY, GUARD)
    assert ends(found, "route") == [(1, 1), (2, 2)]
    assert ends(found, "mood") == [(2, 2), (1, 1)]
    assert ends(found) == [(1, 1), (2, 2)]
    assert found["", "challenger"].mean == pytest.approx(0.25)
    assert found["", "challenger"].num_samples == 400


def test_answers_that_nobody_knows_widen_a_rank_to_whatever_they_may_have_been() -> None:
    champion, challenger = [1.0] * 200, [0.0] * 20 + [1.0] * 180
    assert ends(ranks(judged({"champion": champion, "challenger": challenger}))) == [(1, 1), (2, 2)]
    vague: list[float | Answer] = [*challenger[:-20], *[UNSCORED] * 20]
    lost: list[float | Answer] = [*[UNSCORED] * 20, *champion[20:]]
    for scores in ({"champion": champion, "challenger": vague},
                   {"champion": lost, "challenger": challenger}):  # fmt: skip
        found = ranks(judged(scores))
        # at the other's best the challenger still loses 20 or nothing
        assert ends(found) == ([(1, 1), (2, 2)] if scores["champion"] is champion else [(1, 2)] * 2)


@st.composite
def worlds(draw: st.DrawFn) -> list[JudgedSample]:
    num_releases, count = draw(st.integers(2, 4)), draw(st.integers(2, 40))
    score: st.SearchStrategy[float | Answer] = draw(
        st.sampled_from((st.sampled_from((0.0, 1.0)), st.floats(0, 1, width=16)))
    )
    answer = st.one_of(score, st.just(UNSCORED)) if draw(st.booleans()) else score
    columns = st.lists(answer, min_size=count, max_size=count)
    return judged({role: draw(columns) for role in _ROLES[:num_releases]})


def _mirrored(item: JudgedSample) -> JudgedSample:
    answers = {
        role: tuple(a if a.value is None else replace(a, value=1 - a.value) for a in of_role)
        for role, of_role in item.answers.items()
    }
    return replace(item, answers=answers)


@settings(deadline=None, max_examples=60)
@given(worlds(), st.sampled_from((0.05, 0.4)))
def test_worst_becomes_best_where_right_becomes_wrong(
    items: list[JudgedSample], alpha: float
) -> None:
    one, other = ranks(items, alpha=alpha), ranks([_mirrored(i) for i in items], alpha=alpha)
    size = len(items[0].answers)
    for key, rank in one.items():
        assert 1 <= rank.low <= rank.high <= size
        assert (other[key].low, other[key].high) == (size + 1 - rank.high, size + 1 - rank.low)


@settings(deadline=None, max_examples=60)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_in_which_releases_were_named_changes_no_rank(
    items: list[JudgedSample], random: Random
) -> None:
    roles = list(items[0].answers)
    random.shuffle(roles)
    again = [replace(i, answers={role: i.answers[role] for role in roles}) for i in items]
    assert ranks(again, alpha=0.4) == ranks(items, alpha=0.4)


@pytest.mark.parametrize("means", [(0.7, 0.7, 0.7, 0.7), (0.7, 0.7, 0.8, 0.62)])
def test_all_ranks_hold_together_as_often_as_is_said(means: tuple[float, ...]) -> None:
    """Correlated right/wrong answers; ranks with ties: from 1 + those truly better to N - those
    truly worse."""
    rounds, size = 150, 150
    draw = np.random.default_rng(5)
    num_wrong = num_certain = 0
    for _ in range(rounds):
        hard = draw.normal(size=size)
        limits = stats.norm.ppf(means)
        drawn = (0.6 * hard + 0.8 * draw.normal(size=(4, size))) < limits[:, None]
        found = ranks(judged(dict(zip(_ROLES, drawn.astype(float), strict=True))))
        true = [
            (1 + sum(m > mean for m in means), 4 - sum(m < mean for m in means)) for mean in means
        ]
        pairs = list(zip(ends(found), true, strict=True))
        num_wrong += any(low > best or high < worst for (low, high), (best, worst) in pairs)
        num_certain += any((low, high) != (1, 4) for (low, high), _ in pairs)
    assert num_wrong <= stats.binom.isf(1e-4, rounds, GATE.alpha)
    # silence is not all there is
    assert num_certain >= 0.5 * rounds or len(set(means)) == 1


def test_of_five_that_lose_the_margin_none_ships_as_often_as_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each judged by `decide` at the rate that the gate's stage gives it; judged at the whole rate,
    one of them would ship in a tenth of the runs."""
    # what a set can decide is told with a verdict, takes most of the time and decides nothing
    monkeypatch.setattr("tasks.gate.verdict._power", lambda *_: None)
    rounds, size, changed = 200, 200, 0.1
    roles = [challenger_role(place) for place in range(5)]
    gate = replace(
        gate_rule(parse_settings({"gate": {"early": 0.0}}, base="."), len(roles)),
        max_missing_ratio=1.0,
    )
    draw = np.random.default_rng(8)
    num_shipped = 0
    for _ in range(rounds):
        right = draw.random(size) < 0.8
        lost, won = (changed + PRIMARY.margin) / 2 / 0.8, (changed - PRIMARY.margin) / 2 / 0.2
        said = {role: right ^ (draw.random(size) < np.where(right, lost, won)) for role in roles}
        items = [
            replace(item, sample=replace(item.sample, slices={}))
            for item in judged({"champion": right, **said})
        ]
        num_shipped += any(
            decide([item.pair(role) for item in items], [PRIMARY], gate, is_same_release=False)
            .verdict in SHIPS
            for role in roles
        )  # fmt: skip
    assert num_shipped <= stats.binom.isf(1e-4, rounds, GATE.alpha / 2)


def test_the_run_comes_to_the_best_that_may_ship() -> None:
    ranked = [
        Rank("", role, mean, 1, 4, 9)
        for role, mean in zip(_ROLES, (0.5, 0.6, 0.9, 0.7), strict=True)
    ]
    one, two, three = _ROLES[1:]
    assert leading({one: "no_worse", two: "cannot_tell", three: "no_worse"}, ranked) == three
    assert leading({one: "better", two: "blocked", three: "worse"}, ranked) == one
    assert leading({one: "worse", two: "cannot_tell", three: "blocked"}, ranked) == two
    assert leading({one: "no_worse", two: "no_worse"}, []) == one
