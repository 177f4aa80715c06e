from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.answering.needs import sample_seed
from tasks.model.run import RunRequest
from tasks.run import Run
from tasks.settings import parse_settings


def _run(seed: int, repeats: int, repeats_set: int = 1) -> Run:
    settings = parse_settings({"evaluate": {"repeats": repeats_set}}, base=".")
    return Run("r", RunRequest(seed=seed, repeats=repeats), settings)


def test_seed_of_a_sample_never_changes() -> None:
    assert sample_seed(0, "a") == 5690829181965289459


@given(st.integers(0, 2**62), st.text(max_size=80))
def test_seed_is_a_positive_63_bit_number(seed: int, sample_id: str) -> None:
    assert 0 <= sample_seed(seed, sample_id) < 2**63


def test_samples_and_repeats_draw_differently() -> None:
    drawn = {sample_seed(seed, str(n)) for seed in _run(5, 3).seeds for n in range(100)}
    assert len(drawn) == 300


def test_repeats_count_up_from_the_seed_of_the_run() -> None:
    assert list(_run(7, 3).seeds) == [7, 8, 9]


def test_a_run_keeps_its_repeats_when_the_settings_change() -> None:
    """`flywheel gate` and a resumed record decide on the repeats that were evaluated."""
    assert len(_run(7, 3, repeats_set=5).seeds) == 3
    assert len(_run(7, 0, repeats_set=5).seeds) == 5  # of a build that did not write them down
