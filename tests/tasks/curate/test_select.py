from __future__ import annotations

import random
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tasks.curate.select import Mined, allocate, length_band, select

_STRATA = st.dictionaries(
    st.tuples(st.text(max_size=3)),
    st.tuples(st.integers(1, 500), st.integers(1, 500)),
    min_size=1,
    max_size=8,
)


@given(st.integers(0, 600), _STRATA)
def test_places_are_shared_out_to_the_last_and_never_beyond_capacity(
    places: int, strata: dict[tuple[str], tuple[int, int]]
) -> None:
    capacity = {name: min(both) for name, both in strata.items()}
    traffic = {name: both[0] for name, both in strata.items()}
    given_out = allocate(places, traffic, capacity)
    assert sum(given_out.values()) == min(places, sum(capacity.values()))
    assert all(0 <= given_out[name] <= capacity[name] for name in strata)


@given(st.integers(1, 50), _STRATA)
def test_with_room_everywhere_each_stratum_is_within_one_of_its_share(
    places: int, strata: dict[tuple[str], tuple[int, int]]
) -> None:
    traffic = {name: both[0] for name, both in strata.items()}
    given_out = allocate(places, traffic, dict.fromkeys(traffic, 1000))
    total = sum(traffic.values())
    for name, number in given_out.items():
        assert abs(number - Fraction(places * traffic[name], total)) < 1


def _mined(count: int, *, num_failures: int = 0) -> list[Mined]:
    return [
        Mined(f"call-{i}", ("route" if i % 4 else "mood",), is_failure=i < num_failures)
        for i in range(count)
    ]


def _choose(mined: list[Mined], seed: int = 0, share: float = 0.5) -> frozenset[str]:
    return select(mined, max_samples=40, failure_share=share, seed=seed)


def test_failures_come_first_up_to_their_share() -> None:
    chosen = _choose(_mined(400, num_failures=100))
    failed = {f"call-{i}" for i in range(100)}
    assert len(chosen) == 40
    assert len(chosen & failed) == 20


def test_few_failures_are_all_taken() -> None:
    chosen = _choose(_mined(400, num_failures=7))
    assert {f"call-{i}" for i in range(7)} <= chosen
    assert len(chosen) == 40


def test_further_failures_fill_places_that_traffic_leaves() -> None:
    assert len(_choose(_mined(50, num_failures=45))) == 40


def test_traffic_is_taken_in_proportion() -> None:
    chosen = _choose(_mined(400))
    assert sum(int(key.removeprefix("call-")) % 4 == 0 for key in chosen) == 10


def test_calls_that_stand_for_many_weigh_as_many() -> None:
    mined = [Mined(f"a{i}", ("a",), False, num_calls=9) for i in range(50)]
    mined += [Mined(f"b{i}", ("b",), False, num_calls=1) for i in range(50)]
    assert sum(key.startswith("a") for key in _choose(mined)) == 36


def test_choice_depends_on_the_seed_and_not_on_the_order() -> None:
    mined = _mined(400, num_failures=50)
    shuffled = random.Random(1).sample(mined, len(mined))
    assert _choose(mined) == _choose(shuffled)
    assert _choose(mined, seed=1) != _choose(mined)


def test_a_new_call_moves_little_of_the_choice() -> None:
    before, after = _choose(_mined(400)), _choose(_mined(404))
    assert len(before & after) >= 37


def test_lengths_fall_into_bands() -> None:
    assert [length_band(n) for n in (0, 199, 200, 3999, 4000)] == [
        "short", "short", "medium", "long", "very long",
    ]  # fmt: skip
