"""Evidence over many looks: the error rate is kept however often one looks; power is not lost."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, t

from tasks.model.comparison import Interval
from tasks.statistics.sequence import (
    Batch,
    Evidence,
    Plan,
    begin,
    conditional_power,
    decision,
    look,
    random_order,
    update,
)

PLAN = Plan(margin=0.05, planned=500, max_weight=1.0)


def drawn(count: int, mean: float, draw: np.random.Generator, discordance: float = 0.1):
    half = np.array([discordance - mean, discordance + mean]) / 2
    return draw.choice([-1.0, 0.0, 1.0], count, p=[half[0], 1 - discordance, half[1]])


def student(values: np.ndarray, alpha: float) -> Interval:
    return Interval(*t.interval(1 - alpha, len(values) - 1, values.mean(), values.std(ddof=1)
                                / math.sqrt(len(values))))  # fmt: skip


def named(start: int, count: int) -> list[str]:
    return [f"conversation {number}" for number in range(start, start + count)]


def fed(values: np.ndarray, plan: Plan = PLAN, night: int = 50) -> Iterator[Evidence]:
    """The evidence after each night."""
    evidence = begin(plan)
    for start in range(0, len(values), night):
        part = values[start : start + night]
        evidence = update(evidence, Batch(part, named(start, len(part))))
        evidence = look(evidence, lambda alpha, seen=values[: start + night]: student(seen, alpha))
        yield evidence


def test_a_release_at_the_margin_seldom_ever_ships_and_an_equal_one_is_seldom_ever_worse() -> None:
    draw, num_runs = np.random.default_rng(0), 150
    counts = {"ships": 0, "worse": 0, "ships by one look a night": 0}
    for _ in range(num_runs):
        values = drawn(1_500, -PLAN.margin, draw)
        counts["ships"] += any(decision(night) == "ship" for night in fed(values, night=75))
        counts["ships by one look a night"] += any(
            student(values[:end], PLAN.alpha).low > -PLAN.margin for end in range(75, 1_501, 75)
        )
        equal = fed(drawn(1_500, 0.0, draw), night=75)
        counts["worse"] += any(decision(night) == "worse" for night in equal)
    # a true rate of 0.025 exceeds this once in a thousand times
    most = binom.ppf(0.999, num_runs, PLAN.alpha / 2)
    assert counts["ships"] <= most
    assert counts["worse"] <= most
    # and the looks of today do exceed it
    assert counts["ships by one look a night"] > most


@pytest.mark.parametrize(("planned", "by", "least"), [(500, 500, 0.8), (1_000, 1_000, 0.93)])
def test_an_equal_release_ships_soon(planned: int, by: int, least: float) -> None:
    draw, plan = np.random.default_rng(1), Plan(0.05, planned, 1.0)
    ships = [
        any(decision(night) == "ship" for night in fed(drawn(by, 0.0, draw), plan))
        for _ in range(100)
    ]
    assert np.mean(ships) > least


def test_a_much_worse_release_is_called_worse_before_the_planned_look() -> None:
    *_, last = fed(drawn(300, -0.2, np.random.default_rng(2), discordance=0.3))
    assert last.fixed is None
    assert decision(last) == "worse"


def test_the_planned_look_is_taken_once_at_its_share_of_alpha() -> None:
    asked: list[tuple[float, int]] = []
    evidence = begin(Plan(0.05, planned=100, max_weight=1.0, alpha=0.04, early=0.25))
    for night in range(4):
        evidence = update(evidence, Batch(np.zeros(60), named(night * 60, 60)))
        seen = evidence.num_samples

        def fixed(alpha: float, seen: int = seen) -> Interval:
            asked.append((alpha, seen))
            return Interval(-0.01, 0.02)

        evidence = look(evidence, fixed)
    assert asked == [(pytest.approx(0.03), 120)]
    assert evidence.fixed == Interval(-0.01, 0.02)
    assert evidence.fixed_num_samples == 120
    assert [point.num_samples for point in evidence.looks] == [60, 120, 180, 240]
    assert evidence.looks[0].interval.low < -0.05 < evidence.looks[1].interval.low == -0.01


def test_the_sequence_alone_is_held_at_the_early_share_of_alpha() -> None:
    bold, shy = (Plan(0.05, 10_000, 1.0, early=early) for early in (0.9, 0.01))
    values = drawn(800, 0.0, np.random.default_rng(3))
    *_, early = fed(values, bold)
    *_, late = fed(values, shy)
    assert early.bets == late.bets
    assert late.interval.low < early.interval.low
    assert late.interval.high > early.interval.high


@pytest.mark.parametrize(
    ("low", "high", "decided"),
    [
        (-0.049, 0.1, "ship"),
        (-0.04, -0.01, "ship"),
        (-0.05, 0.1, "go_on"),
        (-0.2, -0.001, "worse"),
        (-0.2, 0.0, "go_on"),
        (0.1, -0.1, "go_on"),
    ],
)
def test_the_decision_follows_from_the_interval(low: float, high: float, decided: str) -> None:
    evidence = update(begin(PLAN), Batch(np.zeros(1), ["a"]))
    taken = Evidence(PLAN, evidence.bets, 500, Interval(low, high), 500)
    assert decision(taken) == decided


def test_a_loss_within_the_margin_is_not_called_worse_before_the_planned_look() -> None:
    values = np.zeros(700)
    values[::28] = -1.0
    plan = Plan(0.04, planned=2_000, max_weight=1.0)
    evidence = update(begin(plan), Batch(values, named(0, 700)))
    assert evidence.difference == pytest.approx(-25 / 700)
    assert evidence.interval.high < 0
    assert evidence.interval.low < -0.04
    assert decision(evidence) == "go_on"
    assert decision(replace(evidence, fixed=Interval(-0.1, 0.1))) == "worse"
    more = update(evidence, Batch(np.full(20, -1.0), named(700, 20)))
    assert more.difference is not None
    assert more.difference < -0.04
    assert decision(more) == "worse"


def test_the_order_of_the_rows_and_the_other_clusters_of_the_night_do_not_matter() -> None:
    draw = np.random.default_rng(4)
    values, ids = drawn(200, 0.0, draw, 0.6), [f"c{i // 2}" for i in range(200)]
    plan = Plan(0.05, 500, max_weight=2.0)
    one = update(begin(plan), Batch(values, ids))
    shuffled = draw.permutation(100)
    rows = np.concatenate([[2 * i, 2 * i + 1] for i in shuffled])
    assert update(begin(plan), Batch(values[rows], [ids[i] for i in rows])) == one
    assert update(begin(Plan(0.05, 500, 2.0, seed="other")), Batch(values, ids)).bets != one.bets
    assert one.num_samples == 200
    assert one.bets.num_clusters == 100


def test_random_order_is_a_permutation_that_a_seed_decides() -> None:
    ids = named(0, 50)
    assert random_order(ids, "a") == random_order([*reversed(ids), *ids], "a")
    assert random_order(ids, "a") != random_order(ids, "b") != ids
    assert sorted(random_order(ids, "a")) == sorted(ids)


def test_a_cluster_counts_with_its_weights_as_one_difference() -> None:
    plan = Plan(0.05, 500, max_weight=4.0)
    parts = Batch(np.array([1.0, -1.0, 0.5]), ["a", "a", "b"], np.array([3.0, 1.0, 2.0]))
    whole = Batch(np.array([0.5, 0.5]), ["a", "b"], np.array([4.0, 2.0]))
    one, other = update(begin(plan), parts), update(begin(plan), whole)
    assert one.bets == other.bets
    assert one.difference == pytest.approx(0.5)
    assert begin(plan).difference is None


def test_a_weight_that_is_over_the_declared_by_rounding_alone_is_taken() -> None:
    samples = Batch(np.zeros(3), ["a", "a", "a"], np.array([0.1, 0.2, 0.3]))
    assert samples.weights is not None
    assert sum(samples.weights) > 0.6
    evidence = update(begin(Plan(0.05, 500, max_weight=0.6)), samples)
    assert evidence.bets.moments[0] == 1.0


def test_swapped_releases_mirror_the_interval_of_every_look() -> None:
    values = drawn(900, -0.03, np.random.default_rng(5))
    for one, other in zip(fed(values), fed(-values), strict=True):
        assert other.interval.low == pytest.approx(-one.interval.high, abs=1e-12)
        assert other.interval.high == pytest.approx(-one.interval.low, abs=1e-12)


def test_evidence_kept_as_json_goes_on_as_if_it_had_not_been() -> None:
    values = drawn(1_000, 0.01, np.random.default_rng(6))
    for night, evidence in enumerate(fed(values, night=100)):
        back = Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False)))
        assert back == evidence
        more = Batch(values[:10], named(5_000 + night, 10))
        assert update(back, more) == update(evidence, more)
    assert evidence.fixed is not None
    assert Evidence.from_json(json.loads(json.dumps(begin(PLAN).to_json()))) == begin(PLAN)


def test_nothing_new_changes_nothing() -> None:
    evidence = update(begin(PLAN), Batch(np.ones(3), ["a", "b", "c"]))
    assert update(evidence, Batch(np.zeros(0), [])) == evidence


@pytest.mark.parametrize("lost", [5, 15, 25])
def test_conditional_power_is_the_share_of_equal_futures_that_pass(lost: int) -> None:
    values = np.zeros(250)
    values[:lost], values[lost:35] = -1.0, 1.0
    *_, evidence = fed(values)
    draw, level = np.random.default_rng(7), PLAN.alpha * (1 - PLAN.early)
    share = np.mean(values != 0)
    futures = [
        student(np.concatenate([values, drawn(250, 0.0, draw, share)]), level).low > -PLAN.margin
        for _ in range(400)
    ]
    assert conditional_power(evidence) == pytest.approx(np.mean(futures), abs=0.1)


def test_what_cannot_pass_any_more_is_futile_until_the_planned_look() -> None:
    values = np.zeros(450)
    values[:40], values[40:50] = -1.0, 1.0
    decided = [decision(night) for night in fed(np.random.default_rng(8).permutation(values))]
    assert "futile" in decided
    assert "ship" not in decided
    assert conditional_power(begin(PLAN)) == pytest.approx(0.93, abs=0.01)
    last = update(begin(PLAN), Batch(np.zeros(500), named(0, 500)))
    assert conditional_power(look(last, lambda alpha: Interval(-1, 1))) is None


@pytest.mark.parametrize(
    "wrong", [{"margin": 0.0}, {"margin": 1.0}, {"alpha": 0.0}, {"early": 1.0}, {"planned": 0}]
)
def test_a_plan_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1|one sample or more"):
        Plan(**({"margin": 0.05, "planned": 500, "max_weight": 1.0} | wrong))


@pytest.mark.parametrize(
    ("differences", "weights", "said"),
    [
        ([0.0], [-1.0], "negative"),
        ([0.0], [math.nan], "not a number"),
        ([0.0], [0.0], "weighs nothing"),
        ([0.0], [1.5], "declared"),
        ([1.5], [1.0], "outside"),
        ([math.nan], [1.0], "outside"),
    ],
)
def test_samples_out_of_range_are_refused(differences, weights, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        update(begin(PLAN), Batch(np.array(differences), ["a"], np.array(weights)))
