"""The floor against simulations whose truth is known, and what is counted on the way to it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.model.answer import MISSING, UNSCORED, Answer, JudgedSample
from tasks.model.noise import Condition, Noise, Repetition, SuiteNoise
from tasks.model.sample import Sample
from tasks.model.verdict import SuiteRule
from tasks.noise.measure import AFTER, BEFORE, drawn, scatter, suite_noise

RULE = SuiteRule("route", "guard", 0.05, "exact_match")
FAILED = Answer(is_missing=True, fault="release", error="the prompt is too long")


def sample(number: int, cluster: str = "", weight: float = 1.0, suite: str = "route") -> Sample:
    return Sample(
        sample_id=f"{suite}-{number:04}", suite=suite, task=suite, messages=(), system=None,
        target="t", target_kind="gold", origin="suite", cluster_id=cluster or f"cluster {number}",
        weight=weight,
    )  # fmt: skip


def said(value: float, text: str = "said") -> Answer:
    return Answer(value, text=text)


def pair(of: Sample, before: Answer, after: Answer) -> JudgedSample:
    return JudgedSample(of, {BEFORE: (before,), AFTER: (after,)})


def test_independent_samples_of_equal_weight_give_the_textbook_interval() -> None:
    draw = np.random.default_rng(1)
    values = draw.choice([-1.0, 0.0, 1.0], 100, p=[0.1, 0.8, 0.1])
    names = [str(n) for n in range(100)]
    expected = stats.t.ppf(0.975, 99) * values.std(ddof=1) / math.sqrt(400)
    assert scatter(values, names, np.ones(100), 400.0) == pytest.approx(expected)
    assert scatter(np.zeros(5), names[:5], np.ones(5), 400.0) == 0.0
    assert scatter(values[:3], ["one"] * 3, np.ones(3), 400.0) is None


@pytest.mark.parametrize("kind", ["independent", "weighted", "whole clusters move"])
def test_two_runs_of_one_release_differ_by_more_than_the_floor_one_time_in_twenty(
    kind: str,
) -> None:
    """Each sample has a probability of its own to be right; the floor is measured on a part."""
    draw = np.random.default_rng(7)
    num, part, rounds = 400, 100, 2_000
    right = draw.beta(2, 2, num)
    size = 4 if kind == "whole clusters move" else 1
    clusters = np.arange(num) // size
    weights = draw.lognormal(0, 0.5, num) if kind == "weighted" else np.ones(num)
    if size > 1:
        right = np.repeat(right[::size], size)

    def difference() -> np.ndarray:
        luck = draw.random((2, num // size))
        one, other = (np.repeat(each, size) < right for each in luck)
        return one.astype(float) - other

    samples = [
        sample(n, f"c{clusters[n]}", float(weights[n])) for n in range(num)
    ]  # fmt: skip
    positions = {item.sample_id: n for n, item in enumerate(samples)}
    chosen = [positions[item.sample_id] for item in drawn(samples, RULE, part)]
    assert len(chosen) == part
    names = [samples[n].cluster_id for n in chosen]
    sums = np.bincount(clusters, weights=weights)
    effective = float(sums.sum() ** 2 / (sums**2).sum())
    beyond, squares = 0, []
    for _ in range(rounds):
        floor = scatter(difference()[chosen], names, weights[chosen], effective)
        assert floor is not None
        squares.append(floor**2)
        beyond += abs(float(np.average(difference(), weights=weights))) > floor
    # exact: the sum of independent variances of the clusters
    variance = 2 * right[::size] * (1 - right[::size])
    exact = math.sqrt(float((sums**2 * variance).sum())) / sums.sum()
    quantile = stats.t.ppf(0.975, part / size - 1)
    assert math.sqrt(np.mean(squares)) == pytest.approx(quantile * exact, rel=0.08)
    assert 0.03 <= beyond / rounds <= 0.075


def test_what_changed_what_moved_and_what_is_lost() -> None:
    samples = [sample(n) for n in range(6)]
    pairs = [
        pair(samples[0], said(1.0), said(1.0)),
        pair(samples[1], said(1.0), said(1.0, "another text of the same worth")),
        pair(samples[2], said(1.0), said(0.0, "wrong")),
        pair(samples[3], said(1.0), MISSING),
        pair(samples[4], replace(UNSCORED, text="said"), said(1.0)),
        pair(samples[5], said(1.0), FAILED),
    ]
    (part,) = suite_noise(RULE, "exact_match@1", samples, {"seed": pairs}).repetitions.values()
    assert (part.num_answers, part.num_changed, part.num_lost) == (5, 3, 1)
    assert (part.num_samples, part.num_moved) == (4, 2)
    assert part.difference == pytest.approx(-0.5)
    assert part.shift == 0.0


def test_a_shift_of_the_engine_stays_however_many_samples_there_are() -> None:
    samples = [sample(n) for n in range(50)]
    pairs = [pair(item, said(1.0), said(0.9, "shorter")) for item in samples]
    noise = suite_noise(RULE, "token_f1@1", samples, {"processor": pairs, "judge": pairs})
    assert noise.repetitions["processor"].shift == pytest.approx(0.1)
    assert noise.repetitions["judge"].shift == 0.0
    assert noise.floor_at(50) == noise.floor_at(5_000) == pytest.approx(0.1)


def test_scatters_add_by_their_squares_and_shrink_with_the_root_of_the_samples() -> None:
    def part(shift: float, scattered: float | None) -> Repetition:
        return Repetition(100, 9, 0, 100, 9, 0.0, shift, scattered)

    noise = SuiteNoise("route", "e@1", 100, {"batch": part(0.01, 0.03), "seed": part(0.0, 0.04)})
    assert noise.floor == pytest.approx(0.06)
    assert noise.floor_at(400) == pytest.approx(0.01 + 0.025)
    assert noise.floor_of("seed", 100) == pytest.approx(0.04)
    assert SuiteNoise("route", "e@1", 100, {"seed": part(0.0, None)}).floor is None


def test_what_is_kept_is_read_back() -> None:
    part = Repetition(100, 9, 0, 100, 9, 0.01, 0.01, 0.03)
    conditions = (Condition("batch", "another batch", True), Condition("seed", "", False, "none"))
    suites = (SuiteNoise("route", "e@1", 100, {"batch": part}),)
    noise = Noise("current", "digest", 2, conditions, suites)
    assert Noise.from_json(noise.to_json()) == noise
    assert noise.to_json()["suites"][0]["floor"] == pytest.approx(0.04)
    assert noise.is_promise_broken
    assert not replace(
        noise, conditions=(replace(conditions[0], is_promised=False),)
    ).is_promise_broken


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.integers(2, 30), st.randoms())
def test_a_part_is_drawn_cluster_by_cluster_whatever_the_order_of_the_set(
    clusters: list[int], most: int, random: object
) -> None:
    samples = [sample(n, f"c{cluster}") for n, cluster in enumerate(clusters)]
    samples += [sample(n, suite="mood") for n in range(3)]
    samples += [replace(sample(n + 900), is_counted=False) for n in range(3)]
    part = drawn(samples, RULE, most)
    shuffled = list(samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert drawn(shuffled, RULE, most) == part
    assert len(part) == min(most, len(clusters))
    assert all(item.suite == "route" and item.is_counted for item in part)
    names = [item.cluster_id for item in part]
    assert len([a for a, b in pairwise(names) if a != b]) == len(set(names)) - 1
    for name in set(names[:-1]) - {names[-1]}:
        assert names.count(name) == sum(item.cluster_id == name for item in samples)
