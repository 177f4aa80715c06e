"""The ratio of means: Fieller's theorem, the inverse under swapped arms, error rates, and how much
identical answers are worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from tasks.statistics.ratio import Measured, compare_ratio, p_value_of_less


def measured(
    champion: object, challenger: object, clusters: object = None, weights: object = None
) -> Measured:
    one, two = np.array(champion, dtype=float), np.array(challenger, dtype=float)
    labels = np.arange(len(one)) if clusters is None else np.array(clusters)
    return Measured(one, two, labels, np.ones(len(one)) if weights is None else np.array(weights))


def answers(
    rng: np.random.Generator, num_clusters: int, size: int, ratio: float = 1.0, sigma: float = 0.5
) -> Measured:
    """Lognormal, alike in a cluster and between releases."""
    num = num_clusters * size
    clusters = np.repeat(np.arange(num_clusters), size)
    task = 0.5 * rng.normal(size=num_clusters)[clusters] + rng.normal(size=num)
    own = 0.5 * rng.normal(size=num_clusters)[clusters] + rng.normal(size=num)
    champion, challenger = np.exp(sigma * task), np.exp(sigma * (0.6 * task + 0.8 * own))
    return Measured(champion, ratio * challenger, clusters, rng.uniform(0.5, 2, num))


@st.composite
def any_measured(draw: st.DrawFn) -> Measured:
    count = draw(st.integers(6, 40))
    values = st.lists(st.integers(0, 500).map(float), min_size=count, max_size=count)
    labels = st.one_of(
        st.just(list(range(count))),
        st.lists(st.integers(0, 12), min_size=count, max_size=count),
    )
    weights = st.lists(st.floats(0.5, 2), min_size=count, max_size=count)
    return measured(draw(values), draw(values), draw(labels), draw(weights))


@pytest.mark.parametrize("size", [1, 4])
def test_without_skew_it_is_fieller_of_a_cluster_robust_covariance(size: int) -> None:
    """Means and their covariance by statsmodels; the interval by the closed form of 1954."""
    rng = np.random.default_rng(1)
    num = 100 * size
    base = rng.uniform(95, 195, num // 2)
    clusters = np.repeat(np.arange(100), size)
    change = rng.uniform(0, 90, num // 2)
    # with every value its mirror: nothing is skewed
    champion = np.r_[base, 290 - base]
    challenger = champion * 1.02 + np.r_[change, -change]
    if size > 1:
        clusters = np.r_[clusters[: num // 2], 50 + clusters[: num // 2]]
    weights = np.ones(num)
    both = np.r_[champion, challenger]
    design = np.kron(np.eye(2), np.ones((num, 1)))
    fit = sm.OLS(both, design).fit(
        cov_type="cluster",
        cov_kwds={"groups": np.r_[clusters, clusters], "use_correction": False},
    )
    covariance = fit.cov_params() * 100 / 99
    my, mx = fit.params
    q = student.ppf(0.975, 99) ** 2
    a = my**2 - q * covariance[0, 0]
    b = mx * my - q * covariance[0, 1]
    c = mx**2 - q * covariance[1, 1]
    root = math.sqrt(b * b - a * c)
    told = compare_ratio(measured(champion, challenger, clusters, weights), 0.05)
    assert told is not None
    assert told.ratio == pytest.approx(mx / my, rel=1e-12)
    # the correction for skewness only ever widens it, and here by next to nothing
    assert told.interval.low == pytest.approx((b - root) / a, rel=2e-4)
    assert told.interval.high == pytest.approx((b + root) / a, rel=2e-4)
    assert told.interval.low <= (b - root) / a + 1e-9
    assert told.interval.high >= (b + root) / a - 1e-9


@settings(deadline=None, max_examples=80)
@given(any_measured())
def test_swapping_the_releases_inverts_everything(pairs: Measured) -> None:
    one, other = compare_ratio(pairs, 0.05), compare_ratio(pairs.swapped(), 0.05)
    if one is None or other is None:
        # a release that uses nothing has no ratio; too few clusters have none either way
        assert one is None or not pairs.challenger.any()
        assert other is None or not pairs.champion.any()
        return
    assert other.ratio == pytest.approx(1 / one.ratio)
    assert other.interval.low == pytest.approx(1 / one.interval.high, rel=1e-9)
    assert 1 / other.interval.high == pytest.approx(one.interval.low, rel=1e-9)


@settings(deadline=None, max_examples=80)
@given(any_measured(), st.sampled_from((0.01, 0.05, 0.2)), st.floats(0.2, 5))
def test_the_p_value_is_the_dual_of_the_interval(
    pairs: Measured, alpha: float, ratio: float
) -> None:
    told = compare_ratio(pairs, alpha)
    if told is None:
        assert p_value_of_less(pairs, ratio) == 1.0
        return
    low, high = told.interval.low, told.interval.high
    assert low <= told.ratio <= high
    if math.isfinite(high):
        assert p_value_of_less(pairs, high * (1 - 1e-6)) >= alpha / 2 - 1e-6
        assert p_value_of_less(pairs, high * (1 + 1e-6)) <= alpha / 2 + 1e-6
    if ratio < told.ratio:
        assert p_value_of_less(pairs, ratio) > alpha / 2


@settings(deadline=None, max_examples=50)
@given(any_measured(), st.floats(0.1, 50))
def test_another_unit_changes_nothing(pairs: Measured, unit: float) -> None:
    scaled = Measured(
        pairs.champion * unit, pairs.challenger * unit, pairs.clusters, pairs.weights * 7
    )
    one, other = compare_ratio(pairs, 0.05), compare_ratio(scaled, 0.05)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert other.ratio == pytest.approx(one.ratio)
        assert other.interval.low == pytest.approx(one.interval.low, rel=1e-8)
        assert other.interval.high == pytest.approx(one.interval.high, rel=1e-8)


def test_a_question_of_several_draws_counts_as_if_written_out() -> None:
    rng = np.random.default_rng(4)
    plain, draws = answers(rng, 30, 1), rng.integers(1, 6, 30)
    together = Measured(plain.champion, plain.challenger, plain.clusters, plain.weights,
                        draws.astype(float))  # fmt: skip
    apart = Measured(
        np.repeat(plain.champion, draws), np.repeat(plain.challenger, draws),
        np.arange(draws.sum()), np.repeat(plain.weights / draws, draws),
    )  # fmt: skip
    one, other = compare_ratio(together, 0.05), compare_ratio(apart, 0.05)
    assert one is not None
    assert other is not None
    assert one.ratio == pytest.approx(other.ratio)
    assert one.interval.low == pytest.approx(other.interval.low, rel=1e-6)
    assert one.interval.high == pytest.approx(other.interval.high, rel=1e-6)
    assert one.effective_samples == pytest.approx(other.effective_samples)


def test_identical_answers_pass_a_tenth_from_39_clusters_on() -> None:
    """By hand: a share of 1/11 of clusters that use twice the champion's mean would be a tenth more
    than allowed; (10/11)^38 = .0267 and (10/11)^39 = .0243."""
    lengths = np.random.default_rng(0).integers(5, 50, 39)
    told = compare_ratio(measured(lengths, lengths), 0.05)
    assert told is not None
    assert told.ratio == 1
    assert told.interval.high < 1.1
    fewer = compare_ratio(measured(lengths[1:], lengths[1:]), 0.05)
    assert fewer is not None
    assert fewer.interval.high > 1.1


def test_of_few_clusters_or_none_to_compare_with_nothing_is_said() -> None:
    same = np.full(504, 9.0)
    assert compare_ratio(measured(same, same, np.arange(504) % 5), 0.05) is None
    assert compare_ratio(measured(same, same, np.arange(504) % 6), 0.05) is not None
    assert compare_ratio(measured(np.zeros(504), same), 0.05) is None
    assert p_value_of_less(measured(np.zeros(504), same), 1.1) == 1.0
    # a challenger that uses nothing is certain to use less
    nothing = compare_ratio(measured(same, np.zeros(504)), 0.05)
    assert nothing is not None
    assert (nothing.ratio, nothing.interval.low) == (0.0, 0.0)
    assert nothing.interval.high < 0.02


def test_a_champion_that_cannot_be_told_from_nothing_has_no_upper_end() -> None:
    champion = np.r_[np.zeros(29), 1000.0]
    told = compare_ratio(measured(champion, np.full(30, 40.0)), 0.05)
    assert told is not None
    assert told.interval.high == math.inf


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_what_is_no_measured_value_is_an_error(wrong: float) -> None:
    with pytest.raises(ValueError, match="not a number of at least 0"):
        measured([1.0, wrong], [1.0, 1.0])
    with pytest.raises(ValueError, match="weight"):
        measured([1.0, 1.0], [1.0, 1.0], [0, 1], [1.0, wrong])


@pytest.mark.parametrize(("num_clusters", "size"), [(50, 1), (200, 1), (50, 4)])
def test_a_release_that_uses_too_much_seldom_passes(num_clusters: int, size: int) -> None:
    """At a true ratio of exactly 1 + margin; and the true ratio is in the interval."""
    rng = np.random.default_rng(3)
    runs, passed, covered = 600, 0, 0
    for _ in range(runs):
        pairs = answers(rng, num_clusters, size, ratio=1.1)
        passed += p_value_of_less(pairs, 1.1) <= 0.025
        covered += (
            p_value_of_less(pairs, 1.1) > 0.025
            and p_value_of_less(pairs.swapped(), 1 / 1.1) > 0.025
        )
    assert passed / runs <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)
    assert covered / runs >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)
