"""Item statistics, against scipy, full enumeration and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator, default_rng
from scipy.stats import pearsonr

from tasks.statistics.items import (
    FALSE_DISCOVERY,
    ItemStatistics,
    ScoredAnswers,
    Values,
    item_rest_correlation,
    item_statistics,
)


def asked_once(scores: Values, *, sampled: bool = False) -> ItemStatistics:
    """Of complete scores [num_items, num_releases], one answer each; all items of one group."""
    num_items, num_releases = scores.shape
    item, release = np.indices(scores.shape)
    return item_statistics(
        ScoredAnswers(
            item=item.ravel(),
            build=release.ravel(),
            release=release.ravel(),
            seed=np.zeros(scores.size, dtype=np.int64),
            value=scores.ravel(),
            is_sampled=np.full(num_releases, sampled),
            group=np.zeros(num_items, dtype=np.int64),
        )
    )


def answers(*rows: tuple[int, int, int, int, float], sampled: tuple[bool, ...]) -> ItemStatistics:
    """Rows of item, build, release, seed, value."""
    table = np.array(rows, dtype=np.float64)
    item, build, release, seed = table[:, :4].astype(np.int64).T
    group = np.zeros(int(item.max()) + 1, dtype=np.int64)
    return item_statistics(
        ScoredAnswers(item, build, release, seed, table[:, 4], np.array(sampled), group)
    )


def ability_model(draw: Generator, num_items: int, num_releases: int) -> Values:
    """Right or wrong by the Rasch model."""
    ability = draw.normal(0, 1.5, num_releases)
    difficulty = draw.normal(0, 1, num_items)
    chance = 1 / (1 + np.exp(difficulty[:, None] - ability))
    return (draw.random((num_items, num_releases)) < chance).astype(np.float64)


def test_correlation_is_that_of_scipy_with_the_mean_of_the_other_items() -> None:
    draw = default_rng(1)
    scores = draw.random((12, 9))
    correlation, p_value = item_rest_correlation(scores)
    for row in range(12):
        expected = pearsonr(
            scores[row], np.delete(scores, row, axis=0).mean(axis=0), alternative="less"
        )
        assert correlation[row] == pytest.approx(expected.statistic)
        assert p_value[row] == pytest.approx(max(expected.pvalue, 1 / 362_880))


@given(st.lists(st.sampled_from((0.0, 0.5, 1.0)), min_size=5, max_size=7), st.integers(0, 99))
def test_no_p_value_is_below_what_any_order_of_the_scores_could_give(
    item: list[float], seed: int
) -> None:
    others = default_rng(seed).random((4, len(item)))
    _, p_value = item_rest_correlation(np.vstack([item, others]))
    orders = len(set(itertools.permutations(item)))
    if np.isnan(p_value[0]):
        assert orders == 1
    else:
        assert p_value[0] >= (1 - 1e-9) / orders


def test_a_release_that_answered_only_a_part_takes_no_part_in_correlations() -> None:
    scores = ability_model(default_rng(2), 40, 8)
    partly = default_rng(3).random((40, 1))
    partly[10:] = np.nan
    for expected, found in zip(
        item_rest_correlation(scores), item_rest_correlation(np.hstack([scores, partly])),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(found, expected)


def test_missing_scores_do_not_make_able_of_who_answered_the_easy_items() -> None:
    """Releases of one ability, each without other items: what they lack says nothing of them."""
    draw = default_rng(4)
    hard = np.repeat([0.0, 1.0], 50)[:, None]
    scores = hard + draw.normal(0, 0.01, (100, 12))
    for release in range(12):
        first = 50 * (release % 2)
        scores[first : first + 10, release] = np.nan
    correlation, _ = item_rest_correlation(scores)
    assert abs(np.nanmean(correlation)) < 0.1


@pytest.mark.parametrize("families", [False, True])
def test_of_items_that_know_nothing_of_ability_few_are_called_negative(families: bool) -> None:
    """Also where releases are of two kinds, each all alike: there Student's p alone calls some
    negative in a third of all sets."""
    draw = default_rng(5)
    runs, with_a_false_one = 200, 0
    for _ in range(runs):
        releases = int(draw.integers(5, 20))
        ability = draw.normal(0, 1.5, releases)
        if families:
            ability = np.where(draw.random(releases) < 0.5, -1.5, 1.5)
        able = draw.random((100, releases)) < 1 / (1 + np.exp(-ability))
        unrelated = draw.random((400, releases)) < draw.random((400, 1))
        scores = np.vstack([able, unrelated]).astype(np.float64)
        with_a_false_one += bool(asked_once(scores).is_negative.any())
    # two standard errors above the rate allowed, which here bounds the chance of any false one
    assert with_a_false_one / runs <= FALSE_DISCOVERY + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_items_with_a_wrong_target_are_found_where_there_are_releases_enough() -> None:
    draw = default_rng(6)
    found, false = 0, 0
    for _ in range(20):
        scores = ability_model(draw, 200, 30)
        scores[:5] = 1 - ability_model(draw, 200, 30)[:5]
        ability = scores[5:].mean(axis=0)
        scores[:5] = ability < np.median(ability)
        flags = asked_once(scores).is_negative
        found, false = found + int(flags[:5].sum()), false + int(flags[5:].sum())
    assert found >= 95
    assert false <= 10


def test_below_five_releases_nothing_is_tested() -> None:
    found = asked_once(ability_model(default_rng(7), 30, 4))
    assert np.isnan(found.correlation).all()
    assert not found.is_negative.any()


def test_all_right_is_said_of_three_releases_or_of_five_answers_that_could_differ() -> None:
    once = [(0, release, release, 0, 1.0) for release in range(3)]
    assert not answers(*once[:2], sampled=(False, False)).is_always_right.any()
    assert answers(*once, sampled=(False,) * 3).is_always_right.all()
    repeats = [(0, 0, 0, seed, 1.0) for seed in range(5)]
    assert answers(*repeats, sampled=(True,)).is_always_right.all()
    # greedy decoding gives one answer, however often it is asked
    greedy = answers(*repeats, sampled=(False,))
    assert greedy.num_answers.tolist() == [1]
    assert not greedy.is_always_right.any()
    # and another machine is no other release
    builds = [(0, build, 0, 0, 0.0) for build in range(5)]
    assert not answers(*builds, sampled=(False,)).is_always_wrong.any()


def test_one_wrong_answer_is_enough_that_not_all_are_right() -> None:
    rows = [(0, release, release, seed, 1.0) for release in range(3) for seed in range(2)]
    assert answers(*rows, sampled=(True,) * 3).is_always_right.all()
    found = answers(*rows[:-1], (0, 2, 2, 1, 0.5), sampled=(True,) * 3)
    assert not found.is_always_right.any()
    assert found.differs.all()


def test_flaky_is_who_disagrees_with_itself_and_not_with_others() -> None:
    found = answers(
        (0, 0, 0, 0, 1.0), (0, 1, 1, 0, 0.0), (0, 1, 1, 1, 0.0),  # two releases disagree
        (1, 0, 0, 0, 1.0), (1, 0, 0, 1, 0.0), (1, 1, 1, 0, 1.0),  # one with itself
        (2, 0, 0, 0, 1.0), (2, 2, 0, 1, 0.0),  # one on two machines
        sampled=(True, True),
    )  # fmt: skip
    assert found.is_flaky.tolist() == [False, True, False]
    assert found.is_repeated.tolist() == [True, True, False]
    np.testing.assert_array_equal(found.noise, [0.0, 0.5, np.nan])


def test_an_item_without_an_answer_is_nothing() -> None:
    found = answers((1, 0, 0, 0, 1.0), sampled=(False,))
    assert found.num_releases.tolist() == [0, 1]
    for flags in (found.is_always_right, found.is_always_wrong, found.differs, found.is_negative):
        assert not flags.any()
