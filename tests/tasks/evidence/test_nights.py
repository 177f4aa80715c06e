"""Many looks at one pair of releases: what is counted once, and what the verdict rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from tasks.evidence.arrays import evidence_of
from tasks.evidence.nights import Night, night, standing
from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide
from tasks.model.answer import MISSING, JudgedSample
from tasks.model.sample import FedSample
from tasks.model.verdict import Decision
from tests.tasks.gate.cases import GATE, PRIMARY, answering, sample, swapped

NIGHTLY = replace(GATE, early=0.2)


def _draw(
    draw: np.random.Generator, numbers: Iterable[int], difference: float = 0.0
) -> list[JudgedSample]:
    """One sample in ten changes; ids tell the samples apart over nights."""
    items = []
    for number in numbers:
        kind = draw.random()
        won, lost = (0.1 + difference) / 2, (0.1 - difference) / 2
        old, new = (0.0, 1.0) if kind < won else (1.0, 0.0) if kind < won + lost else (1.0, 1.0)
        items.append(sample(number, old, new))
    return items


def _look(
    before: Night | None, fed: list[FedSample], items: list[JudgedSample], planned: int
) -> Night:
    return night(before and before.evidence, fed, items, PRIMARY, NIGHTLY, planned)


def _decide(items: list[JudgedSample], look: Night) -> Decision:
    stands = {PRIMARY.name: standing(look)}
    return decide(items, [PRIMARY], NIGHTLY, is_same_release=False, standing=stands)


def test_the_first_look_at_the_planned_size_is_one_interval_of_what_is_left_of_alpha() -> None:
    items = _draw(np.random.default_rng(1), range(500))
    look = _look(None, [], items, 500)
    decision = _decide(items, look)
    (suite,) = decision.suites
    assert suite.level == pytest.approx(0.04)
    assert suite.comparison is not None
    assert standing(look).interval == suite.comparison.interval
    assert decision.verdict == "no_worse"
    told = " ".join(reasons(decision, NIGHTLY))
    assert "the first look at this pair of releases, and the planned one" in told


def test_the_same_set_a_second_time_says_nothing_new() -> None:
    items = _draw(np.random.default_rng(2), range(300))
    first = _look(None, [], items, 300)
    second = _look(first, list(first.fed), items, 300)
    assert second.fed == ()
    assert standing(second) == standing(first)


def test_only_new_clusters_are_counted() -> None:
    draw = np.random.default_rng(3)
    one, two = _draw(draw, range(200)), _draw(draw, range(150, 300))
    first = _look(None, [], one, 400)
    second = _look(first, list(first.fed), two, 400)
    assert {fed.sample_id for fed in second.fed} == {item.sample.sample_id for item in two[50:]}
    assert standing(second).num_samples == 300
    assert len(standing(second).looks) == 2
    told = " ".join(reasons(_decide(two, second), NIGHTLY))
    assert "2 looks at this pair of releases, 300 samples in all" in told


def test_before_the_planned_look_it_is_too_early_to_tell_and_says_so() -> None:
    items = _draw(np.random.default_rng(4), range(150))
    look = _look(None, [], items, 400)
    decision = _decide(items, look)
    assert decision.verdict == "cannot_tell"
    assert standing(look).taken_at is None
    text = " ".join(reasons(decision, NIGHTLY))
    assert "it is too early to tell, before the planned look" in text
    assert "The planned look comes at 400." in text


def test_the_planned_look_is_of_all_samples_so_far_and_taken_once() -> None:
    draw = np.random.default_rng(5)
    parts = [_draw(draw, range(first, first + 100)) for first in range(0, 500, 100)]
    look: Night | None = None
    fed: list[FedSample] = []
    intervals = []
    for items in parts:
        look = _look(look, fed, items, 300)
        fed += look.fed
        intervals.append(look.evidence.fixed)
    assert intervals[:2] == [None, None]
    together = [item for part in parts[:3] for item in part]
    (suite,) = decide(together, [PRIMARY], NIGHTLY, is_same_release=False).suites
    assert suite.comparison is not None
    assert intervals[2] == suite.comparison.interval
    assert intervals[2] == intervals[3] == intervals[4]


def test_what_nobody_knows_is_not_bet_on_and_may_have_been_anything() -> None:
    items = _draw(np.random.default_rng(6), range(400))
    lost = [answering(item, challenger=(MISSING,)) if n < 80 else item
            for n, item in enumerate(items)]  # fmt: skip
    look = _look(None, [], lost, 400)
    assert len(look.fed) == 320
    assert look.unknown_share == pytest.approx(0.2)
    assert standing(look).interval.low < -0.15
    assert _decide(lost, look).verdict == "cannot_tell"


def test_a_cluster_heavier_than_declared_counts_as_much_as_was_declared() -> None:
    first = _look(None, [], _draw(np.random.default_rng(7), range(50)), 500)
    heavy = [replace(item, sample=replace(item.sample, weight=900.0))
             for item in _draw(np.random.default_rng(8), range(50, 52))]  # fmt: skip
    second = _look(first, list(first.fed), heavy, 500)
    assert {fed.weight for fed in second.fed} == {first.evidence.plan.max_weight}


def test_swapping_the_releases_mirrors_what_stands() -> None:
    items = _draw(np.random.default_rng(9), range(300), 0.04)
    one, other = (standing(_look(None, [], part, 300)) for part in (items, swapped(items)))
    assert other.interval.low == pytest.approx(-one.interval.high, abs=1e-9)
    assert other.interval.high == pytest.approx(-one.interval.low, abs=1e-9)
    assert other.p_of_loss == pytest.approx(one.p_of_gain)


def test_looks_share_the_error_rate_and_the_first_has_what_the_planned_one_has() -> None:
    assert NIGHTLY.alpha_of_look(1) == NIGHTLY.look_alpha == pytest.approx(0.04)
    assert NIGHTLY.alpha_of_look(2) == pytest.approx(0.005)
    spent = [NIGHTLY.alpha_of_look(number) for number in range(1, 10_001)]
    assert sum(spent) == pytest.approx(0.05, abs=2e-6)
    assert sum(spent) < 0.05
    assert spent == sorted(spent, reverse=True)
    with pytest.raises(ValueError, match="from 1"):
        NIGHTLY.alpha_of_look(0)
    assert GATE.alpha_of_look(7) == GATE.alpha, "each run by itself"


@pytest.mark.slow
def test_a_guarded_slice_seldom_passes_in_any_of_many_looks_at_a_loss_of_its_margin() -> None:
    """Sets drawn anew; by the whole error rate at every look one in three lives ships."""
    draw = np.random.default_rng(11)
    guarded = replace(PRIMARY, role="guard", margin=0.9, slices={"parity": 0.1})
    lives, shipped, shipped_alone = 60, 0, 0
    for _ in range(lives):
        passes = set()
        for look in range(1, 9):
            items = _draw(draw, range(0, 300, 2), -0.1)  # even ones: one slice
            for gate in (NIGHTLY, GATE):
                decision = decide(items, [guarded], gate, is_same_release=False, look=look)
                passes |= {gate.early} if decision.slices[0].verdict == "no_worse" else set()
        shipped, shipped_alone = shipped + (0.2 in passes), shipped_alone + (0.0 in passes)
    assert shipped <= 5  # nominal 0.025 of 60, with three standard errors
    assert shipped_alone > shipped


def test_a_later_look_says_how_strictly_slices_are_judged() -> None:
    items = _draw(np.random.default_rng(12), range(200))
    first, third = (
        decide(items, [PRIMARY], NIGHTLY, is_same_release=False, look=look) for look in (1, 3)
    )
    assert "look 3 at this pair of releases: slices are judged at 99.83%" in " ".join(
        reasons(third, NIGHTLY)
    )
    assert "look" not in " ".join(reasons(first, NIGHTLY))
    pairs = zip(first.slices, third.slices, strict=True)
    assert all(one.ci_low > later.ci_low for one, later in pairs)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["growing", "redrawn"])
def test_many_looks_at_a_loss_of_the_margin_seldom_ship(kind: str) -> None:
    """By an interval of its own every night, a redrawn set ships far more often; benchmarks/
    sequential.py measures 60 nights."""
    draw = np.random.default_rng(10)
    lives, shipped, shipped_alone = 25, 0, 0
    for _ in range(lives):
        pool = _draw(draw, range(2000), -0.05)
        look: Night | None = None
        fed: list[FedSample] = []
        ships = ships_alone = False
        for number in range(12):
            chosen = (
                pool[number * 50 : number * 50 + 50]
                if kind == "growing"
                else [pool[i] for i in draw.choice(2000, 250, replace=False)]
            )
            look = _look(look, fed, chosen, 400)
            fed += look.fed
            ships |= standing(look).interval.low > -PRIMARY.margin
            alone = evidence_of(chosen).comparison(GATE.alpha, GATE.unseen_loss)
            ships_alone |= alone is not None and alone.interval.low > -PRIMARY.margin
        shipped, shipped_alone = shipped + ships, shipped_alone + ships_alone
    assert shipped <= 3  # nominal 0.025 of 25, with three standard errors
    if kind == "redrawn":
        assert shipped_alone > shipped
