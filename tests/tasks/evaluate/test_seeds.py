from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluate.plan import repeat_seeds, sample_seed


def test_seed_of_a_sample_never_changes() -> None:
    assert sample_seed(0, "a") == 5690829181965289459


@given(st.integers(0, 2**62), st.text(max_size=80))
def test_seed_is_a_positive_63_bit_number(seed: int, sample_id: str) -> None:
    assert 0 <= sample_seed(seed, sample_id) < 2**63


def test_samples_and_repeats_draw_differently() -> None:
    drawn = {sample_seed(seed, str(n)) for seed in repeat_seeds(5, 3) for n in range(100)}
    assert len(drawn) == 300


def test_repeats_count_up_from_the_seed_of_the_run() -> None:
    assert list(repeat_seeds(7, 3)) == [7, 8, 9]
