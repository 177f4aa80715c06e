"""Bets on a mean: no capital grows on average where nothing is to be won, by exact enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.statistics.betting import Bets, bet, confidence_sequence, no_bets

MARGIN = 0.05
#: one outcome of a cluster: its chance, its weight and its mean difference
Law = tuple[tuple[float, float, float], ...]
COIN: Law = ((0.525, 1.0, -1.0), (0.475, 1.0, 1.0))
SELDOM: Law = ((0.10, 1.0, -1.0), (0.85, 1.0, 0.0), (0.05, 1.0, 1.0))
# heavy clusters lose: weighted the mean difference is -0.05, that of the clusters 0.04
HEAVY_LOSE: Law = ((0.10, 3.0, -1.0), (0.20, 3.0, 0.2125), (0.40, 1.0, 0.25), (0.30, 0.5, 0.0))
# a law whose losses are small and many, its win rare and large
GRADED: Law = ((0.9, 1.0, -0.15), (0.1, 1.0, 0.85))
LAWS = {"coin": COIN, "seldom": SELDOM, "heavy": HEAVY_LOSE, "graded": GRADED}


def every_sequence(law: Law, length: int) -> Iterator[tuple[float, Bets]]:
    start = no_bets(max(weight for _, weight, _ in law), (-MARGIN, 0.0))
    for outcomes in itertools.product(law, repeat=length):
        chances, weights, differences = np.array(outcomes).T
        yield math.prod(chances), bet(start, differences, weights)


@pytest.mark.parametrize("name", LAWS)
def test_no_capital_grows_on_average_when_the_mean_is_the_candidate(name: str) -> None:
    law = LAWS[name]
    assert sum(p for p, _, _ in law) == pytest.approx(1)
    assert sum(p * w * (d + MARGIN) for p, w, d in law) == pytest.approx(0, abs=1e-12)
    length = {2: 11, 3: 7, 4: 5}[len(law)]
    expected = np.zeros((2, len(no_bets(1.0, (-MARGIN, 0.0)).candidates)))
    for chance, bets in every_sequence(law, length):
        expected += chance * np.exp([bets.above, bets.below])
        candidates = np.array(bets.candidates)
    (place,) = np.flatnonzero(candidates == -MARGIN)
    np.testing.assert_allclose(expected[:, place], 1, rtol=1e-10)
    # who bets on a mean above a candidate that lies above the mean loses, and the mirror image
    assert (expected[0, place:] <= 1 + 1e-10).all()
    assert (expected[1, : place + 1] <= 1 + 1e-10).all()
    # and a false candidate does make somebody rich
    assert expected[0, 0] > 1.01
    assert expected[1, -1] > 1.01


@pytest.mark.parametrize("error", [0.1, 0.3, 0.8])
def test_a_capital_ever_reaches_1_over_error_no_more_often_than_error(error: float) -> None:
    reached = {"above": 0.0, "below": 0.0}
    for chance, bets in every_sequence(COIN, 12):
        place = bets.candidates.index(-MARGIN)
        reached["above"] += chance * (bets.above_peak[place] >= math.log(1 / error))
        reached["below"] += chance * (bets.below_peak[place] >= math.log(1 / error))
    assert all(chance <= error for chance in reached.values())
    # twelve tosses can make rich
    assert error > 0.1 or reached["above"] > 0
    assert error < 0.8 or reached["above"] > 0.3


def test_the_capital_is_what_the_formula_of_the_paper_gives_one_cluster_after_the_other() -> None:
    draw = np.random.default_rng(3)
    differences, weights = draw.uniform(-1, 1, 60), draw.choice([0.5, 1.0, 2.0], 60)
    bets = bet(no_bets(2.0, (-MARGIN, 0.0)), differences, weights)
    for place in range(0, len(bets.candidates), 7):
        capital = _capital(differences, weights / 2.0, bets.candidates[place])
        assert math.log(capital["above"][-1]) == pytest.approx(bets.above[place], abs=1e-10)
        assert math.log(capital["below"][-1]) == pytest.approx(bets.below[place], abs=1e-10)
        for side, peaks in (("above", bets.above_peak), ("below", bets.below_peak)):
            assert math.log(max(1, *capital[side])) == pytest.approx(peaks[place], abs=1e-10)


def _capital(differences, weights, mean: float) -> dict[str, list[float]]:
    """By aGRAPA: expected outcome of a stake of 1, over its expected square, of the clusters before
    and of 50 imagined ones of usual weight and mean square 0.1; the mean is half believed at two
    standard errors."""
    capital = {"above": [1.0], "below": [1.0]}
    for t in range(len(differences)):
        w, d = weights[:t], differences[:t]
        usual = w.mean() if t else 1.0
        square = (((w * (d - mean)) ** 2).sum() + 50 * usual**2 * (0.1 + mean**2)) / (t + 50)
        variance = (((w * d) ** 2).sum() + 50 * usual**2 * 0.1) / (t + 50)
        z2 = (w * d).sum() ** 2 / (t * variance) if t else 0.0
        estimate = (w * d).sum() / w.sum() * z2 / (z2 + 4) if t else 0.0
        stake = usual * (estimate - mean) / square
        heavy = math.sqrt(w.max() * (w**2).sum() / w.sum()) if t else 1.0
        most = min(0.5 / heavy, 0.95)
        stake = max(-most / (1 - mean), min(most / (1 + mean), stake))
        gain = 1 + stake * weights[t] * (differences[t] - mean)
        for side, is_taken in (("above", stake > 0), ("below", stake <= 0)):
            capital[side].append(capital[side][-1] * (gain if is_taken else 1.0))
    return capital


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(0, 40), st.integers(1, 2**30)
)
def test_swapped_releases_mirror_every_capital_and_two_calls_are_one_to_the_bit(
    values: list[float], cut: int, seed: int
) -> None:
    differences = np.array(values)
    weights = np.random.default_rng(seed).uniform(0.1, 1.5, len(values))
    start = no_bets(1.5, (-MARGIN, 0.0))
    one, other = bet(start, differences, weights), bet(start, -differences, weights)
    assert other.above == one.below[::-1]
    assert other.below_peak == one.above_peak[::-1]
    for alpha in (0.01, 0.5):
        interval, mirrored = confidence_sequence(one, alpha), confidence_sequence(other, alpha)
        assert (mirrored.low, mirrored.high) == (-interval.high, -interval.low)
    halves = bet(bet(start, differences[:cut], weights[:cut]), differences[cut:], weights[cut:])
    assert halves == one


def test_more_clusters_than_are_bet_at_once_are_the_same_as_one_at_a_time() -> None:
    draw = np.random.default_rng(0)
    differences = draw.choice([-1.0, 0.0, 1.0], 2_500, p=[0.06, 0.9, 0.04])
    start = bets = no_bets(1.0, (-MARGIN, 0.0))
    for part in np.array_split(differences, 50):
        bets = bet(bets, part, np.ones(len(part)))
    assert bet(start, differences, np.ones(2_500)) == bets


def test_the_unit_of_the_weights_does_not_matter() -> None:
    draw = np.random.default_rng(1)
    differences, weights = draw.uniform(-1, 1, 50), draw.uniform(0.5, 1, 50)
    one = bet(no_bets(1.0, (-MARGIN,)), differences, weights)
    other = bet(no_bets(4.0, (-MARGIN,)), differences, weights * 4)
    np.testing.assert_allclose(one.above, other.above, atol=1e-12)


def test_the_sequence_narrows_with_alpha_and_with_clusters_and_holds_the_mean() -> None:
    draw = np.random.default_rng(2)
    bets = no_bets(1.0, (-MARGIN,))
    before = confidence_sequence(bets, 0.05)
    assert (before.low, before.high) == (-1, 1)
    for _ in range(20):
        bets = bet(bets, draw.choice([-1.0, 0.0, 1.0], 100, p=[0.07, 0.9, 0.03]), np.ones(100))
        narrow, wide = confidence_sequence(bets, 0.05), confidence_sequence(bets, 0.001)
        assert wide.low <= narrow.low <= -0.04 <= narrow.high <= wide.high
        assert before.low <= narrow.low <= narrow.high <= before.high
        before = narrow
    assert before.high - before.low < 0.05


def test_a_bound_is_beyond_the_candidate_it_disproves() -> None:
    bets = bet(no_bets(1.0, (-0.0333,)), np.zeros(2_000), np.ones(2_000))
    interval = confidence_sequence(bets, 0.05)
    (last,) = (mean for mean in bets.candidates if math.nextafter(mean, 1) == interval.low)
    assert -0.0333 < last < 0
    assert bets.above_peak[bets.candidates.index(last)] >= math.log(2 / 0.05)
    assert interval.high == -interval.low
    assert -0.0333 in bets.candidates
    assert 0.0333 in bets.candidates


@pytest.mark.parametrize(
    ("differences", "weights", "said"),
    [
        ([0.0, 0.0], [1.0, 1.5], "more than the declared 1"),
        ([0.0, 0.0], [1.0, 0.0], "not more than 0"),
        ([0.0, 0.0], [1.0, math.nan], "weighs"),
        ([0.0, 1.1], [1.0, 1.0], r"outside \[-1, 1\]"),
        ([0.0, math.nan], [1.0, 1.0], "not a number"),
    ],
)
def test_what_could_lose_more_than_the_stake_is_refused(differences, weights, said) -> None:
    with pytest.raises(ValueError, match=said):
        bet(no_bets(1.0, (-MARGIN,)), np.array(differences), np.array(weights))


def test_what_is_no_number_proves_nothing() -> None:
    bets = no_bets(1.0, (-MARGIN,))
    broken = (math.nan,) * len(bets.candidates)
    interval = confidence_sequence(replace(bets, above_peak=broken, below_peak=broken), 0.05)
    assert (interval.low, interval.high) == (-1, 1)


@pytest.mark.parametrize("max_weight", [0.0, -1.0, math.nan, math.inf])
def test_a_largest_weight_is_a_positive_number(max_weight: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        no_bets(max_weight, (-MARGIN,))


def test_a_mean_at_the_end_of_the_range_cannot_be_tested() -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        no_bets(1.0, (-1.0,))
