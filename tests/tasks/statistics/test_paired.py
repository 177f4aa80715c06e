"""The paired comparison: symmetry, no certainty from little, coverage and error rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings

from tasks.gate.verdict import suite_verdict
from tasks.statistics.intervals import t_interval
from tasks.statistics.paired import Pairs, clustered_mean, compare, correlation, release_interval
from tests.tasks.gate.cases import any_pairs, pairs


@settings(deadline=None, max_examples=150)
@given(any_pairs())
def test_swapping_the_releases_mirrors_everything(given_pairs: Pairs) -> None:
    one, other = compare(given_pairs, 0.05), compare(given_pairs.swapped(), 0.05)
    assert other.difference == pytest.approx(-one.difference, abs=1e-12)
    assert other.interval.low == pytest.approx(-one.interval.high, abs=1e-9)
    assert other.interval.high == pytest.approx(-one.interval.low, abs=1e-9)
    assert other.p_value == pytest.approx(one.p_value)
    assert other.min_detectable_effect == pytest.approx(one.min_detectable_effect)


@settings(deadline=None, max_examples=150)
@given(any_pairs())
def test_the_interval_holds_the_difference_is_never_empty_and_narrows_with_alpha(
    given_pairs: Pairs,
) -> None:
    wide, narrow = compare(given_pairs, 0.01).interval, compare(given_pairs, 0.1).interval
    difference = compare(given_pairs, 0.05).difference
    assert wide.low <= narrow.low <= difference + 1e-12
    assert wide.high >= narrow.high >= difference - 1e-12
    assert narrow.high - narrow.low > 0
    assert wide.low >= -1
    assert wide.high <= 1


@settings(deadline=None, max_examples=100)
@given(any_pairs())
def test_a_release_against_its_own_scores_is_never_better_or_worse(given_pairs: Pairs) -> None:
    same = pairs(
        given_pairs.first.tolist(), given_pairs.first.tolist(), given_pairs.clusters.tolist()
    )
    found = compare(same, 0.05)
    assert found.interval.low < 0 < found.interval.high
    assert suite_verdict(found.interval, 0.05, "primary") in ("no_worse", "cannot_tell")
    assert found.p_value == 1.0


@pytest.mark.parametrize(
    ("count", "verdict"), [(5, "cannot_tell"), (71, "cannot_tell"), (80, "no_worse")]
)
def test_equal_answers_are_no_worse_only_when_there_are_enough(count: int, verdict: str) -> None:
    right = pairs([1.0] * count, [1.0] * count)
    graded = pairs([0.5] * count, [0.5] * count)
    for given_pairs in (right, graded):
        assert suite_verdict(compare(given_pairs, 0.05).interval, 0.05, "primary") == verdict


def test_a_handful_of_nearly_equal_differences_is_no_certainty() -> None:
    found = compare(pairs([0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0.501]), 0.05)
    assert found.interval.low < -0.5


def test_clusters_widen_the_interval_when_they_agree() -> None:
    draw = np.random.default_rng(1)
    clusters = np.repeat(np.arange(20), 5)
    first, second = (draw.integers(0, 2, 20)[clusters].astype(float) for _ in range(2))
    alone = compare(pairs(first.tolist(), second.tolist()), 0.05).interval
    together = compare(pairs(first.tolist(), second.tolist(), clusters.tolist()), 0.05).interval
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_clustered_right_and_wrong_is_at_least_as_wide_as_independent() -> None:
    # clusters whose wins and losses cancel exactly would give a standard error of zero
    first, second = [0.0, 1.0] * 40, [1.0, 0.0] * 40
    clusters = np.repeat(np.arange(40), 2).tolist()
    assert (
        clustered_mean(np.array(second) - np.array(first), np.array(clusters)).standard_error == 0
    )
    alone, together = (
        compare(pairs(first, second), 0.05),
        compare(pairs(first, second, clusters), 0.05),
    )
    assert together.interval.low <= alone.interval.low
    assert together.interval.high >= alone.interval.high


def test_two_pairs_and_two_clusters_are_the_least() -> None:
    with pytest.raises(ValueError, match="two pairs"):
        compare(pairs([1.0], [0.0]), 0.05)
    with pytest.raises(ValueError, match="two clusters"):
        compare(pairs([1.0, 0.0], [0.0, 0.0], [3, 3]), 0.05)


def test_small_sets_say_so() -> None:
    assert "fewer than 100" in compare(pairs([1.0] * 20, [0.0, 1.0] * 10), 0.05).method
    assert "fewer than 100" not in compare(pairs([1.0] * 200, [0.0, 1.0] * 100), 0.05).method


def test_correlation_is_pearsons_and_undefined_without_variation() -> None:
    draw = np.random.default_rng(3)
    one, two = draw.random(30), draw.random(30)
    assert correlation(one, two) == pytest.approx(float(np.corrcoef(one, two)[0, 1]))
    assert correlation(np.ones(5), two[:5]) is None


def test_interval_of_a_release_stays_in_range_and_is_never_empty() -> None:
    right = release_interval(np.ones(30), np.arange(30), 0.05)
    graded = release_interval(np.full(30, 0.97), np.arange(30), 0.05)
    clustered = release_interval(np.ones(30), np.repeat(np.arange(10), 3), 0.05)
    for found in (right, graded, clustered):
        assert 0 <= found.low < found.high <= 1
    assert clustered.low < right.low


def _clustered(draw: np.random.Generator, count: int, *, shift: float, graded: bool) -> Pairs:
    """Correlated scores of two releases in clusters of one to several samples."""
    labels = np.repeat(np.arange(count), draw.geometric(0.4, count))
    hard = draw.normal(size=count)[labels]
    scores = []
    for move in (0.0, shift):
        own = 0.6 * draw.normal(size=count)[labels] + 0.5 * draw.normal(size=len(labels))
        score = 0.6 + move + 0.2 * (hard + own)
        scores.append(np.clip(score, 0, 1) if graded else (score > 0.5).astype(float))
    return Pairs(scores[0], scores[1], scores[1] - scores[0], labels)


def _independent(draw: np.random.Generator, count: int, *, shift: float, graded: bool) -> Pairs:
    right = (draw.random(count) < 0.85).astype(float)
    flipped = draw.random(count) < 0.08
    second = np.where(flipped, draw.random(count) < 0.85 + shift, right).astype(float)
    return pairs(right.tolist(), second.tolist())


@pytest.mark.parametrize(
    ("make", "count", "graded"),
    [(_clustered, 60, False), (_clustered, 120, True), (_independent, 150, False)],
)
def test_under_no_difference_false_verdicts_stay_within_their_rate(
    make: Callable[..., Pairs], count: int, graded: bool
) -> None:
    draw = np.random.default_rng(11)
    rounds, covered, better, worse = 600, 0, 0, 0
    for _ in range(rounds):
        interval = compare(make(draw, count, shift=0.0, graded=graded), 0.05).interval
        covered += interval.low <= 0 <= interval.high
        verdict = suite_verdict(interval, 0.05, "primary")
        better, worse = better + (verdict == "better"), worse + (verdict == "worse")
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
        given_pairs = Pairs(np.full(150, 0.95), 0.95 + difference, difference, np.arange(150))
        passed += compare(given_pairs, 0.05).interval.low > -0.05
        estimate = clustered_mean(difference, given_pairs.clusters)
        passed_by_student += t_interval(estimate, 0.05).low > -0.05
    assert passed / rounds < 0.025 + 0.019
    assert passed_by_student > passed
