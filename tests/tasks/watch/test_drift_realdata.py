"""Real texts of users: what a service covers, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.drift import read_texts, trials

pytestmark = pytest.mark.realdata


@pytest.mark.slow
def test_texts_out_of_scope_are_found_and_random_halves_are_not(shared: Path):
    """Four of the benchmark's hundred."""
    folder = shared / "datasets"
    inside, outside = (
        read_texts(folder / f"clinc_small_{name}.jsonl.gz") for name in ("train", "oos")
    )
    done = list(trials(inside, outside, 4))
    assert sum(trial["unchanged"] for trial in done) == 0
    assert sum(trial["20% out of scope"] for trial in done) == 4
