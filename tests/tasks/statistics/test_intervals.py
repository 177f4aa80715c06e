"""Intervals against scipy, statsmodels and simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tasks.statistics.intervals import (
    HeavyLosses,
    Interval,
    clustered_mean,
    floor_interval,
    floor_p_value,
    labels_of,
    skewed_interval,
    skewed_p_value,
    t_interval,
    t_p_value,
    unseen_bound,
    unseen_share,
    wilson_interval,
)


def test_without_clusters_it_is_students_interval() -> None:
    values = np.random.default_rng(1).normal(0.1, 0.4, size=40)
    estimate = clustered_mean(values, np.arange(40))
    expected = stats.ttest_1samp(values, 0.0)
    low, high = expected.confidence_interval(0.95)
    found = t_interval(estimate, 0.05)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    one_sided = stats.ttest_1samp(values, 0.3, alternative="less").pvalue
    plain = replace(estimate, skewness=0.0)
    assert t_p_value(plain, 0.3) == pytest.approx(one_sided, abs=1e-12)


def test_clustered_error_is_that_of_statsmodels() -> None:
    draw = np.random.default_rng(2)
    clusters = np.repeat(np.arange(25), draw.integers(1, 7, size=25))
    values = draw.normal(size=25)[clusters] + draw.normal(size=len(clusters))
    estimate = clustered_mean(values, clusters)
    fitted = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    # statsmodels' own correction has a factor (n - 1) / (n - k) besides, which is 1 here
    assert estimate.standard_error == pytest.approx(float(fitted.bse[0]) * math.sqrt(25 / 24))
    corrected = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}
    )
    assert estimate.standard_error == pytest.approx(float(corrected.bse[0]))


def test_weighted_error_is_that_of_statsmodels() -> None:
    draw = np.random.default_rng(3)
    clusters = np.repeat(np.arange(30), draw.integers(1, 5, size=30))
    values = draw.normal(size=30)[clusters] + draw.normal(size=len(clusters))
    weights = draw.exponential(1.0, len(clusters)) + 0.1
    estimate = clustered_mean(values, clusters, weights)
    fitted = sm.WLS(values, np.ones(len(values)), weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    assert estimate.mean == pytest.approx(float(fitted.params[0]))
    assert estimate.standard_error == pytest.approx(float(fitted.bse[0]) * math.sqrt(30 / 29))
    assert estimate.effective_values == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_what_is_assumed_of_an_unseen_cluster_is_all_of_one_value_and_less_of_many() -> None:
    alone = clustered_mean(np.zeros(50), np.arange(50))
    of_ten = clustered_mean(np.zeros(500), np.repeat(np.arange(50), 10))
    assert unseen_bound(alone, 0.25, 1.0) == 1.0
    assert unseen_bound(of_ten, 0.25, 1.0) == pytest.approx(0.25 + 0.75 / 10)
    assert unseen_bound(of_ten, 1.0, 1.0) == 1.0


@pytest.mark.parametrize("num_lost", range(9))
def test_heavy_losses_are_bounded_as_by_clopper_and_pearson(num_lost: int) -> None:
    values = np.r_[np.full(num_lost, -1.0), np.zeros(400 - num_lost)]
    estimate = clustered_mean(values, np.arange(400))
    heavy = HeavyLosses.of(estimate, values, np.arange(400), np.ones(400))
    # one of three limits is the best here, and each has a third of the error rate
    _, limit = proportion_confint(num_lost, 400, alpha=0.05 / 3, method="beta")
    assert heavy.lowest_mean(0.05) == pytest.approx(-limit)
    assert heavy.p_value(-limit - 1e-6) < 0.025 < heavy.p_value(-limit + 1e-6)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_p_values_are_the_duals_of_their_intervals(alpha: float) -> None:
    values = np.r_[np.full(4, -0.9), np.linspace(-0.2, 0.1, 56)]
    estimate = clustered_mean(values, np.arange(60))
    student, hall = t_interval(estimate, alpha), skewed_interval(estimate, alpha)
    floor = floor_interval(estimate, alpha, -1.0, 1.0)
    for high, p_value in (
        (student.high, lambda at: t_p_value(estimate, at)),
        (hall.high, lambda at: skewed_p_value(estimate, at)),
        (floor.high, lambda at: floor_p_value(estimate, at, 1.0)),
    ):
        assert p_value(high - 1e-9) > alpha / 2 > p_value(high + 1e-9)


def test_labels_and_order_do_not_matter() -> None:
    values = np.array([0.1, 0.5, 0.4, 0.9, 0.2])
    one = clustered_mean(values, np.array([0, 0, 1, 1, 2]))
    other = clustered_mean(values[::-1], np.array([9, 4, 4, 7, 7]))
    assert one.standard_error == pytest.approx(other.standard_error)


def test_one_cluster_has_no_error_at_all() -> None:
    with pytest.raises(ValueError, match="two clusters"):
        clustered_mean(np.array([0.1, 0.2]), np.array([1, 1]))


@given(
    draws=st.lists(st.integers(1, 5), min_size=2, max_size=12),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_value_of_several_draws_is_as_if_written_out_one_by_one(
    draws: list[int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    values, weights = random.uniform(-1, 1, len(draws)), random.uniform(0.1, 3, len(draws))
    together = clustered_mean(values, np.arange(len(draws)), weights, np.array(draws, float))
    apart = clustered_mean(
        np.repeat(values, draws), np.arange(sum(draws)), np.repeat(weights / draws, draws)
    )
    for name in ("mean", "standard_error", "effective_values", "effective_clusters",
                 "degrees_of_freedom", "skewness"):  # fmt: skip
        assert getattr(together, name) == pytest.approx(getattr(apart, name), rel=1e-9, abs=1e-12)


def test_values_of_one_cluster_are_added_as_if_entirely_dependent() -> None:
    """Nine draws of the one, one of the other: 0.6 · 9 / 3 + 0.4 of the weight, for both."""
    values, clusters = np.array([1.0, 1.0, 0.0]), np.array([0, 0, 1])
    estimate = clustered_mean(values, clusters, np.array([0.6, 0.4, 1.0]), np.array([9.0, 1, 1]))
    first = 0.6 / 3 + 0.4
    num_draws = (1 / first) ** 2 + 1
    expected = num_draws / (num_draws - 1) * ((first / 2) ** 2 + (1 / 2) ** 2) / 4
    assert estimate.standard_error == pytest.approx(math.sqrt(expected))
    assert estimate.effective_clusters == pytest.approx(4 / (first**2 + 1))


def test_one_giant_cluster_leaves_few_effective_ones() -> None:
    estimate = clustered_mean(np.linspace(0, 1, 60), np.r_[np.zeros(40, int), np.arange(1, 21)])
    assert estimate.num_clusters == 21
    assert estimate.effective_clusters == pytest.approx(3600 / 1620)
    assert estimate.degrees_of_freedom == 1  # Satterthwaite: (1600 + 20)² / (1600² + 20) - 1 < 1


@pytest.mark.parametrize(("successes", "trials"), [(0, 12), (3, 12), (12, 12), (480, 500)])
def test_wilson_is_that_of_statsmodels(successes: int, trials: int) -> None:
    low, high = proportion_confint(successes, trials, alpha=0.05, method="wilson")
    found = wilson_interval(successes, trials, 0.05)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_unseen_share_is_the_exact_bound_for_none_seen() -> None:
    _, high = proportion_confint(0, 60, alpha=0.05, method="beta")
    assert unseen_share(60, 0.05) == pytest.approx(high)


def test_floor_is_never_empty_and_shrinks_with_clusters() -> None:
    widths = []
    for count in (2, 10, 72, 1000):
        estimate = clustered_mean(np.zeros(count), np.arange(count))
        assert estimate.standard_error == 0
        found = floor_interval(estimate, 0.05, -1.0, 1.0)
        assert found.low == pytest.approx(-found.high)
        widths.append(found.high)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0.8
    assert widths[2] < 0.05 < 0.0512 < unseen_share(70, 0.05)


def test_without_skewness_the_corrected_interval_is_students() -> None:
    values = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    estimate = clustered_mean(values, np.arange(5))
    plain, corrected = t_interval(estimate, 0.05), skewed_interval(estimate, 0.05)
    assert (corrected.low, corrected.high) == pytest.approx((plain.low, plain.high))


def test_rare_heavy_losses_reach_further_down() -> None:
    values = np.r_[np.full(5, -0.9), np.linspace(-0.01, 0.01, 95)]
    estimate = clustered_mean(values, np.arange(100))
    plain, corrected = t_interval(estimate, 0.05), skewed_interval(estimate, 0.05)
    assert corrected.low < plain.low
    assert corrected.high < plain.high
    mirrored = skewed_interval(clustered_mean(-values, np.arange(100)), 0.05)
    assert (mirrored.low, mirrored.high) == pytest.approx((-corrected.high, -corrected.low))


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(0, 1))
def test_hull_holds_both(low: float, width: float, other: float, size: float) -> None:
    one, two = Interval(low, low + width), Interval(other, other + size)
    both = one.hull(two)
    assert both.low == min(one.low, two.low)
    assert both.high == max(one.high, two.high)


@pytest.mark.parametrize("values", [[0.1 + 0.2, 0.3, 0.3], [0.1, 0.7, 0.4, 0.4, 1.3, -0.5]])
def test_what_rounding_leaves_is_no_standard_error(values: list[float]) -> None:
    """All equal, or cancelling within the two clusters: an error of 1e-17 is taken for one by
    whoever divides by it, and the probability of passing was not a number."""
    labels = [0, 1, 2] if len(values) == 3 else [0, 0, 1, 1, 2, 2]
    found = clustered_mean(np.array(values), np.array(labels))
    assert found.standard_error == 0
    assert found.skewness == 0


@given(st.lists(st.text(max_size=3)))
def test_labels_are_in_the_order_of_the_names(names: list[str]) -> None:
    by_numpy = np.unique(np.array(names, dtype=object), return_inverse=True)[1]
    assert labels_of(names).tolist() == by_numpy.reshape(-1).tolist()
