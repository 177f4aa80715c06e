"""The paired comparison: symmetry, no certainty from little, coverage and error rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tasks.statistics.intervals import clustered_mean, t_interval
from tasks.statistics.paired import Pairs, compare, p_value_of_loss, release_interval
from tests.tasks.gate.cases import any_pairs, pairs

_UNSEEN = 0.25


@settings(deadline=None, max_examples=150)
@given(any_pairs())
def test_swapping_the_releases_mirrors_everything(given_pairs: Pairs) -> None:
    one = compare(given_pairs, 0.05, _UNSEEN)
    other = compare(given_pairs.swapped(), 0.05, _UNSEEN)
    assert other.difference == pytest.approx(-one.difference, abs=1e-12)
    assert other.interval.low == pytest.approx(-one.interval.high, abs=1e-9)
    assert other.interval.high == pytest.approx(-one.interval.low, abs=1e-9)
    assert other.effective_samples == one.effective_samples


@settings(deadline=None, max_examples=150)
@given(any_pairs())
def test_the_interval_holds_the_difference_is_never_empty_and_narrows_with_alpha(
    given_pairs: Pairs,
) -> None:
    wide = compare(given_pairs, 0.01, _UNSEEN).interval
    narrow = compare(given_pairs, 0.1, _UNSEEN).interval
    difference = compare(given_pairs, 0.05, _UNSEEN).difference
    assert wide.low <= narrow.low <= difference + 1e-12
    assert wide.high >= narrow.high >= difference - 1e-12
    assert narrow.high - narrow.low > 0
    assert wide.low >= -1
    assert wide.high <= 1


@settings(deadline=None, max_examples=150)
@given(any_pairs(), st.sampled_from((0.01, 0.05, 0.2)))
def test_the_p_value_is_the_dual_of_the_interval(given_pairs: Pairs, alpha: float) -> None:
    """Small exactly where the interval ends below the value asked for."""
    high = compare(given_pairs, alpha, _UNSEEN).interval.high
    assert p_value_of_loss(given_pairs, high - 1e-6, _UNSEEN) > alpha / 2 - 1e-9
    if high < 1 - 1e-4:  # nearer the end of the range the bounds know no further
        assert p_value_of_loss(given_pairs, high + 1e-6, _UNSEEN) <= alpha / 2 + 1e-9


@settings(deadline=None, max_examples=100)
@given(any_pairs())
def test_a_release_against_its_own_scores_is_never_better_or_worse(given_pairs: Pairs) -> None:
    nothing = np.zeros(given_pairs.num_pairs)
    same = Pairs(nothing, given_pairs.clusters, given_pairs.weights, given_pairs.is_binary)
    interval = compare(same, 0.05, _UNSEEN).interval
    assert interval.low < 0 < interval.high
    assert p_value_of_loss(same, 0.0, _UNSEEN) >= 0.5


@settings(deadline=None, max_examples=60)
@given(any_pairs(), st.integers(2, 4))
def test_a_weight_is_so_many_equal_values_of_one_cluster(given_pairs: Pairs, times: int) -> None:
    """The reference: the sample written out as often as its weight says."""
    weights = np.ones(given_pairs.num_pairs)
    weights[0] = times
    order = np.r_[np.zeros(times, int), np.arange(1, given_pairs.num_pairs)]
    weighted = clustered_mean(given_pairs.difference, given_pairs.clusters, weights)
    written_out = clustered_mean(given_pairs.difference[order], given_pairs.clusters[order])
    assert weighted.mean == pytest.approx(written_out.mean, abs=1e-12)
    assert weighted.standard_error == pytest.approx(written_out.standard_error, abs=1e-12)
    assert weighted.effective_clusters == pytest.approx(written_out.effective_clusters)


@pytest.mark.parametrize(("score", "enough"), [(1.0, 73), (0.5, 72)])
def test_equal_answers_are_no_worse_only_when_there_are_enough(score: float, enough: int) -> None:
    for count in (5, enough - 1, enough):
        interval = compare(pairs([score] * count, [score] * count), 0.05, _UNSEEN).interval
        assert (interval.low > -0.05) == (count == enough)


def test_a_handful_of_nearly_equal_differences_is_no_certainty() -> None:
    given_pairs = pairs([0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0.501])
    assert compare(given_pairs, 0.05, _UNSEEN).interval.low < -0.5


def test_clusters_widen_the_interval_when_they_agree() -> None:
    draw = np.random.default_rng(1)
    clusters = np.repeat(np.arange(20), 5)
    first, second = (draw.integers(0, 2, 20)[clusters].astype(float) for _ in range(2))
    alone = compare(pairs(first.tolist(), second.tolist()), 0.05, _UNSEEN).interval
    clustered = pairs(first.tolist(), second.tolist(), clusters.tolist())
    together = compare(clustered, 0.05, _UNSEEN).interval
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_clustered_right_and_wrong_is_at_least_as_wide_as_independent() -> None:
    # clusters whose wins and losses cancel exactly would give a standard error of zero
    first, second = [0.0, 1.0] * 40, [1.0, 0.0] * 40
    clusters = np.repeat(np.arange(40), 2).tolist()
    clustered = pairs(first, second, clusters)
    assert clustered_mean(clustered.difference, clustered.clusters).standard_error == 0
    alone = compare(pairs(first, second), 0.05, _UNSEEN)
    together = compare(clustered, 0.05, _UNSEEN)
    assert together.interval.low <= alone.interval.low
    assert together.interval.high >= alone.interval.high


def test_one_heavy_sample_is_worth_hardly_more_than_itself() -> None:
    weights = [900.0, *[1.0] * 100]
    result = compare(pairs([1.0] * 101, [1.0] * 101, weights=weights), 0.05, _UNSEEN)
    assert result.effective_samples == pytest.approx(1000**2 / (900**2 + 100))
    assert result.interval.low < -0.9


def test_two_pairs_and_two_clusters_are_the_least() -> None:
    with pytest.raises(ValueError, match="two pairs"):
        compare(pairs([1.0], [0.0]), 0.05, _UNSEEN)
    with pytest.raises(ValueError, match="two clusters"):
        compare(pairs([1.0, 0.0], [0.0, 0.0], [3, 3]), 0.05, _UNSEEN)


@pytest.mark.parametrize("wrong", [float("nan"), 1.5, -2.0, float("inf")])
def test_what_is_no_difference_of_scores_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="not within -1 and 1"):
        Pairs(np.array([0.0, wrong]), np.arange(2), np.ones(2), False)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_a_positive_number(wrong: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        Pairs(np.zeros(2), np.arange(2), np.array([1.0, wrong]), False)


def test_small_sets_say_so() -> None:
    small, large = (pairs([1.0] * 2 * n, [0.0, 1.0] * n) for n in (10, 100))
    assert "fewer than 100" in compare(small, 0.05, _UNSEEN).method
    assert "fewer than 100" not in compare(large, 0.05, _UNSEEN).method


def test_interval_of_a_release_stays_in_range_and_is_never_empty() -> None:
    one = np.ones(30)
    right = release_interval(one, np.arange(30), one, 0.05)
    graded = release_interval(np.full(30, 0.97), np.arange(30), one, 0.05)
    clustered = release_interval(one, np.repeat(np.arange(10), 3), one, 0.05)
    weighted = release_interval(one, np.arange(30), np.r_[np.ones(29), 9.0], 0.05)
    for interval in (right, graded, clustered, weighted):
        assert 0 <= interval.low < interval.high <= 1
    assert clustered.low < right.low
    assert weighted.low < right.low


def _clustered(draw: np.random.Generator, count: int, *, graded: bool) -> Pairs:
    """Correlated scores of two equal releases in clusters of one to several samples."""
    labels = np.repeat(np.arange(count), draw.geometric(0.4, count))
    hard = draw.normal(size=count)[labels]
    scores = []
    for _ in range(2):
        own = 0.6 * draw.normal(size=count)[labels] + 0.5 * draw.normal(size=len(labels))
        score = 0.6 + 0.2 * (hard + own)
        scores.append(np.clip(score, 0, 1) if graded else (score > 0.5).astype(float))
    return pairs(scores[0].tolist(), scores[1].tolist(), labels.tolist())


def _independent(draw: np.random.Generator, count: int, *, graded: bool) -> Pairs:
    right = (draw.random(count) < 0.85).astype(float)
    flipped = draw.random(count) < 0.08
    second = np.where(flipped, draw.random(count) < 0.85, right).astype(float)
    return pairs(right.tolist(), second.tolist())


def _weighted(draw: np.random.Generator, count: int, *, graded: bool) -> Pairs:
    """Weights that say nothing of the difference, most of them small."""
    plain = _independent(draw, count, graded=graded)
    return Pairs(plain.difference, plain.clusters, draw.exponential(1.0, count) + 0.05, True)


@pytest.mark.parametrize(
    ("make", "count", "graded"),
    [
        (_clustered, 60, False),
        (_clustered, 120, True),
        (_independent, 150, False),
        (_weighted, 200, False),
    ],
)
def test_under_no_difference_false_verdicts_stay_within_their_rate(
    make: Callable[..., Pairs], count: int, graded: bool
) -> None:
    draw = np.random.default_rng(11)
    rounds, covered, better, worse = 600, 0, 0, 0
    for _ in range(rounds):
        interval = compare(make(draw, count, graded=graded), 0.05, _UNSEEN).interval
        covered += interval.low <= 0 <= interval.high
        better, worse = better + (interval.low > 0), worse + (interval.high < 0)
    # nominal 0.95 and 0.025 each, with three standard errors of the simulation
    assert covered / rounds > 0.95 - 0.027
    assert better / rounds < 0.025 + 0.019
    assert worse / rounds < 0.025 + 0.019


def test_rare_heavy_losses_at_the_margin_are_not_waved_through() -> None:
    """A true loss of just the margin, made of a few total failures, must seldom pass."""
    draw = np.random.default_rng(12)
    passed = passed_by_student = 0
    rounds = 600
    for _ in range(rounds):
        lost = draw.random(150) < 0.05 / 0.9
        difference = np.where(lost, -0.9, draw.normal(0, 0.01, 150))
        given_pairs = Pairs(difference, np.arange(150), np.ones(150), False)
        passed += compare(given_pairs, 0.05, _UNSEEN).interval.low > -0.05
        estimate = clustered_mean(difference, given_pairs.clusters)
        passed_by_student += t_interval(estimate, 0.05).low > -0.05
    assert passed / rounds < 0.025 + 0.019
    assert passed_by_student > passed


def test_forty_conversations_pass_an_equal_release_and_stop_one_at_the_margin() -> None:
    """With 40 clusters of 10 a floor that fears a total loss of every unseen cluster passes 0.2% of
    equal releases; with what is assumed of such a cluster nearly all, and still few at the margin.
    """
    draw = np.random.default_rng(13)
    clusters = np.repeat(np.arange(40), 10)
    rounds, passed, passed_fearing_all, passed_at_margin = 400, 0, 0, 0
    for _ in range(rounds):
        scatter = draw.normal(0, 0.06, 40)[clusters] + draw.normal(0, 0.2, 400)
        equal, lossy = (
            Pairs(np.clip(scatter + shift, -1, 1), clusters, np.ones(400), False)
            for shift in (0.0, -0.05)
        )
        passed += compare(equal, 0.05, _UNSEEN).interval.low > -0.05
        passed_fearing_all += compare(equal, 0.05, 1.0).interval.low > -0.05
        passed_at_margin += compare(lossy, 0.05, _UNSEEN).interval.low > -0.05
    assert passed / rounds > 0.85
    assert passed_fearing_all / rounds < 0.05
    assert passed_at_margin / rounds < 0.025 + 0.024


@pytest.mark.parametrize("num_clusters", range(2, 9))
def test_clusters_that_all_agree_are_no_more_certain_than_their_signs(num_clusters: int) -> None:
    """Copies of one text go one way together: equal releases win all with chance 1 / 2^n."""
    clusters = [number // 10 for number in range(10 * num_clusters)]
    won = pairs([0.0] * len(clusters), [1.0] * len(clusters), clusters)
    by_signs = binomtest(num_clusters, num_clusters, 0.5, alternative="greater").pvalue
    is_certain = compare(won, 0.05, 0.25).interval.low > 0
    assert is_certain == (by_signs <= 0.025)
    assert is_certain == (p_value_of_loss(won.swapped(), 0.0, 0.25) <= 0.025)
