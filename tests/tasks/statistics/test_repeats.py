"""The decomposition, against statsmodels' analysis of variance and simulation with known parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from tasks.statistics.repeats import Noise, noise


@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 999))
def test_components_are_those_of_a_one_way_analysis_of_variance(
    num_samples: int, num_repeats: int, seed: int
) -> None:
    values = default_rng(seed).uniform(-1, 1, (num_samples, num_repeats))
    found = noise(values, np.arange(num_samples), np.ones(num_samples))
    long = pd.DataFrame({
        "value": values.ravel(), "sample": np.repeat(np.arange(num_samples), num_repeats),
    })  # fmt: skip
    table = anova_lm(ols("value ~ C(sample)", long).fit())
    between, within = table["mean_sq"]
    component = (between - within) / num_repeats
    assert found.of_answers == pytest.approx(within / (num_samples * num_repeats))
    assert found.of_samples == pytest.approx(component / num_samples)
    assert found.squared == pytest.approx(between / (num_samples * num_repeats))


@pytest.mark.parametrize("clustered", [False, True])
def test_known_parts_are_found_without_bias(clustered: bool) -> None:
    """Right or wrong, each sample with a chance of its own; weights; clusters of four that share
    what they find hard."""
    draw = default_rng(11)
    count, repeats, runs = 80, 3, 3000
    clusters = np.arange(count) // 4 if clustered else np.arange(count)
    weights = np.tile([0.5, 1.0, 1.0, 1.5], count // 4)
    found = []
    for _ in range(runs):
        ease = draw.random((2, count // 4 if clustered else count))[:, clusters]
        right = draw.random((2, repeats, count)) < ease[:, None, :]
        difference = (right[1].astype(float) - right[0]).T
        one = noise(difference, clusters, weights)
        found.append((one.of_answers, one.of_samples))
    # of a chance that is uniform, E p(1 - p) = 1/6 and Var p = 1/12; two releases
    squares = (weights**2).sum() / weights.sum() ** 2
    sizes = np.bincount(clusters, weights=weights)
    answers = squares * 2 / 6 / repeats
    samples = (sizes**2).sum() / weights.sum() ** 2 * 2 / 12
    error = np.std(found, axis=0) / runs**0.5
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - (answers, samples)), 4 * error)


def test_what_other_numbers_of_repeats_are_promised_comes_true() -> None:
    draw = default_rng(12)
    count = 4000
    ease = draw.random((2, 1, count))

    def asked(repeats: int) -> Noise:
        right = draw.random((2, repeats, count)) < ease
        return noise((right[1].astype(float) - right[0]).T, np.arange(count), np.ones(count))

    now = asked(4)
    for repeats in (2, 8, 32):
        then = asked(repeats)
        assert now.standard_error(repeats) == pytest.approx(then.standard_error(repeats), rel=0.03)
    assert now.share == pytest.approx((1 / 6 / 4) / (1 / 6 / 4 + 1 / 12), rel=0.05)
    # the parts are equal at (1/6) / (1/12) repeats: twice the samples bring what all repeats do
    assert now.enough_repeats == pytest.approx(2, rel=0.1)
    assert now.enough_repeats is not None
    at_equal = now.standard_error(now.enough_repeats) ** 2
    assert now.standard_error(float("inf")) ** 2 == pytest.approx(at_equal / 2)
    assert now.samples_asked_once == pytest.approx(count * (1 / 4) / (1 / 8), rel=0.05)


def test_what_two_releases_share_under_a_seed_is_no_noise_of_their_difference() -> None:
    answers = default_rng(13).integers(0, 2, (50, 4)).astype(float)
    found = noise(answers - answers, np.arange(50), np.ones(50))
    assert (found.of_answers, found.of_samples, found.share) == (0, 0, 0)
    assert found.samples_asked_once == 50
    assert found.enough_repeats is None


@given(st.integers(0, 999))
def test_swapped_releases_have_the_same_noise(seed: int) -> None:
    draw = default_rng(seed)
    values, weights = draw.uniform(-1, 1, (9, 3)), draw.uniform(0.1, 3, 9)
    clusters = draw.integers(0, 4, 9)
    clusters[:2] = (0, 1)
    assert noise(values, clusters, weights) == noise(-values, clusters, weights)


def test_one_answer_says_nothing_of_another() -> None:
    with pytest.raises(ValueError, match="one answer"):
        noise(np.zeros((5, 1)), np.arange(5), np.ones(5))
