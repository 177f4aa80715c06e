from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.curate.select import (
    MIN_SAMPLES,
    allocate,
    draw,
    length_band,
    places_of_strata,
    places_of_suites,
)

_STRATA = st.dictionaries(
    st.text(max_size=3),
    st.tuples(st.integers(1, 500), st.integers(1, 500)),
    min_size=1,
    max_size=8,
)
_SIZES = st.dictionaries(st.text(max_size=4), st.integers(1, 50), min_size=1, max_size=30)


@given(st.integers(0, 600), _STRATA)
def test_places_are_shared_out_to_the_last_and_never_beyond_capacity(
    places: int, strata: dict[str, tuple[int, int]]
) -> None:
    capacity = {name: min(both) for name, both in strata.items()}
    traffic = {name: both[0] for name, both in strata.items()}
    for given_out in (
        allocate(places, traffic, capacity),
        places_of_strata(places, traffic, capacity),
    ):
        assert sum(given_out.values()) == min(places, sum(capacity.values()))
        assert all(0 <= given_out[name] <= capacity[name] for name in strata)


@given(st.integers(1, 50), _STRATA)
def test_with_room_everywhere_each_is_within_one_of_its_share(
    places: int, strata: dict[str, tuple[int, int]]
) -> None:
    traffic = {name: both[0] for name, both in strata.items()}
    given_out = allocate(places, traffic, dict.fromkeys(traffic, 1000))
    total = sum(traffic.values())
    for name, number in given_out.items():
        assert abs(number - Fraction(places * traffic[name], total)) < 1


def test_suites_that_gate_are_filled_first_and_equally() -> None:
    tiers = ({"order": 500, "mood": 500, "small": 40}, {"logged": 900})
    places = places_of_suites(340, tiers)
    assert places == {"order": 150, "mood": 150, "small": 40, "logged": 0}
    assert places_of_suites(1_500, tiers) == {"order": 500, "mood": 500, "small": 40, "logged": 460}


def test_every_stratum_gets_a_minimum_and_the_rest_goes_by_the_root_of_its_calls() -> None:
    calls = {"failed": 100, "liked": 10_000, "unjudged": 4_900}
    many = dict.fromkeys(calls, 9_999)
    further = 330 - 3 * MIN_SAMPLES
    assert places_of_strata(330, calls, many) == {
        "failed": MIN_SAMPLES + further * 10 // 180,
        "liked": MIN_SAMPLES + further * 100 // 180,
        "unjudged": MIN_SAMPLES + further * 70 // 180,
    }
    assert places_of_strata(30, calls, many) == {"failed": 10, "liked": 10, "unjudged": 10}
    assert places_of_strata(330, calls, {**many, "failed": 7})["failed"] == 7


@given(_SIZES, st.integers(1, 40), st.integers(0, 3))
def test_as_many_are_drawn_as_there_are_places_and_they_stand_for_all(
    sizes: dict[str, int], places: int, seed: int
) -> None:
    weights = draw(sizes, places, seed)
    assert len(weights) == min(places, len(sizes))
    assert math.fsum(weights.values()) == pytest.approx(sum(sizes.values()))
    assert all(weight >= sizes[key] * (1 - 1e-12) for key, weight in weights.items())


def _chances(sizes: dict[str, int], places: int) -> dict[str, float]:
    """Reference: n·x/X, with those of 1 and more taken out until none is left."""
    certain: set[str] = set()
    while True:
        rest = {key: size for key, size in sizes.items() if key not in certain}
        chance = {k: (places - len(certain)) * s / sum(rest.values()) for k, s in rest.items()}
        over = {key for key, value in chance.items() if value >= 1}
        if not over:
            return {**dict.fromkeys(certain, 1.0), **chance}
        certain |= over


def test_the_chance_to_be_drawn_is_in_proportion_to_the_calls() -> None:
    sizes = {f"call-{n}": 1 + n % 5 for n in range(60)} | {"popular": 90, "liked": 40}
    chances, num_seeds = _chances(sizes, 20), 3_000
    drawn = dict.fromkeys(sizes, 0)
    for seed in range(num_seeds):
        for key, weight in draw(sizes, 20, seed).items():
            drawn[key] += 1
            assert weight == pytest.approx(sizes[key] / chances[key])
    for key, chance in chances.items():
        error = math.sqrt(chance * (1 - chance) / num_seeds)
        # sequential Poisson sampling meets the chance only nearly (Ohlsson, 1998)
        assert abs(drawn[key] / num_seeds - chance) <= 4 * error + 0.01
    assert drawn["popular"] == drawn["liked"] == num_seeds


def test_a_draw_depends_on_the_seed_and_not_on_the_order() -> None:
    sizes = {f"call-{n}": 1 + n % 5 for n in range(400)}
    shuffled = dict(random.Random(1).sample(sorted(sizes.items()), len(sizes)))
    assert draw(sizes, 40, 0) == draw(shuffled, 40, 0)
    assert draw(sizes, 40, 1).keys() != draw(sizes, 40, 0).keys()


def test_equal_sizes_are_drawn_evenly() -> None:
    firsts = {next(iter(draw(dict.fromkeys("abc", 2), 1, seed))) for seed in range(40)}
    assert firsts == {"a", "b", "c"}
    for keys in permutations("abc"):
        assert draw(dict.fromkeys(keys, 2), 2, 0) == draw(dict.fromkeys("abc", 2), 2, 0)


def test_new_calls_move_little_of_the_draw() -> None:
    sizes = {f"call-{n}": 1 + n % 5 for n in range(400)}
    more = sizes | {f"new-{n}": 1 for n in range(8)} | {"call-3": sizes["call-3"] + 1}
    assert len(draw(sizes, 40, 0).keys() & draw(more, 40, 0).keys()) >= 37


def test_lengths_fall_into_bands() -> None:
    assert [length_band(n) for n in (0, 199, 200, 3999, 4000)] == [
        "short", "short", "medium", "long", "very long",
    ]  # fmt: skip
