"""Drawing tokens: the right distribution, the nucleus exactly, and the same draw for the same
seed.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.request import SamplingParams
from engine.sampler import _nucleus, sample, uniform


def test_frequencies_follow_the_probabilities():
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    logits = np.log(probabilities).astype(np.float32)
    params = SamplingParams(temperature=1.0, seed=1)
    drawn = [sample(logits, params, step) for step in range(20_000)]
    frequencies = np.bincount(drawn, minlength=4) / len(drawn)
    assert frequencies == pytest.approx(probabilities, abs=0.015)


def test_low_temperature_is_nearly_greedy():
    logits = np.array([1.0, 3.0, 2.0], dtype=np.float32)
    params = SamplingParams(temperature=0.01)
    assert {sample(logits, params, step) for step in range(50)} == {1}


def test_draws_depend_on_seed_and_step_alone():
    assert uniform(3, 5) == uniform(3, 5)
    assert len({uniform(seed, step) for seed in range(20) for step in range(20)}) == 400
    assert 0.45 < np.mean([uniform(2**64 - 1, step) for step in range(2000)]) < 0.55


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=3000),
    st.floats(0.01, 0.999),
)
@settings(max_examples=80, deadline=None)
def test_nucleus_is_the_smallest_set_with_the_mass(values: list[int], top_p: float):
    weights = np.exp(np.array(values, dtype=np.float64) - 12)
    ids = _nucleus(weights, top_p)
    order = np.lexsort((np.arange(weights.size), -weights))
    assert list(ids) == list(order[: len(ids)])
    wanted = top_p * weights.sum()
    assert weights[ids].sum() >= wanted * (1 - 1e-12)
    assert weights[ids[:-1]].sum() < wanted * (1 + 1e-12)


def test_flat_distribution_over_a_large_vocabulary_keeps_its_share():
    assert len(_nucleus(np.ones(5000), 0.5)) == 2500
