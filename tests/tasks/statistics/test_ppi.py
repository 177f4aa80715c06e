"""The prediction-powered mean against the paper's own package, hand arithmetic and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks.statistics.ppi import Part, PredictedMean, ppi_mean


def part(values: Any, first: int, clusters: Any = None) -> Part:
    values = np.asarray(values, dtype=np.float64)
    own = np.arange(first, first + len(values)) if clusters is None else np.asarray(clusters)
    return Part(values, np.ones(len(values)), own)


def drawn(size: int, others: int, seed: int = 7) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    for n, more in ((40, 300), (size, others)):
        labels = np.round(rng.normal(size=n), 3)
        judge = np.round(0.8 * labels + rng.normal(size=n) * 0.5, 3)
        rest = np.round(rng.normal(size=more) * 0.9 + 0.1, 3)
    return labels, judge, rest


def test_it_is_what_the_authors_package_gives() -> None:
    """ppi_py.ppi_mean_pointestimate and ppi_mean_ci of ppi-python 0.2.3, on the same numbers: it
    divides by n - 1 elsewhere and takes a normal quantile, hence the last digits."""
    labels, judge, rest = drawn(200, 3000)
    found = ppi_mean(labels, part(judge, 0), part(rest, 200), 0.05)
    assert found.mean == pytest.approx(-0.03606432, abs=5e-4)
    assert found.interval.low == pytest.approx(-0.11378134, abs=2e-3)
    assert found.interval.high == pytest.approx(0.0416527, abs=2e-3)


def test_a_judge_that_tells_nothing_leaves_the_labels_alone() -> None:
    labels = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    found = ppi_mean(labels, part([0.5] * 5, 0), part([0.5] * 9, 5), 0.05)
    # mean 3/5, sum of squares 1.2: sqrt(5/3 · 1.2 / 25), and Student's quantile at 3 degrees
    assert found.mean == pytest.approx(0.6)
    assert found.power == 0
    assert found.interval.high - 0.6 == pytest.approx(3.182446 * (5 / 3 * 1.2 / 25) ** 0.5)


def test_a_judge_that_is_right_is_worth_labels_on_all() -> None:
    rng = np.random.default_rng(1)
    truth = rng.choice([-1.0, 0.0, 1.0], size=1050)
    found = ppi_mean(truth[:50], part(truth[:50], 0), part(truth[50:], 50), 0.05)
    alone = 1.96 * truth.std() / len(truth) ** 0.5
    assert found.power > 0.9
    assert (found.interval.high - found.interval.low) / 2 == pytest.approx(alone, rel=0.2)


def test_an_order_against_people_is_not_used() -> None:
    labels = np.array([0.0, 1.0] * 20)
    assert ppi_mean(labels, part(1 - labels, 0), part([0.3, 0.7] * 50, 40), 0.05).power == 0


def test_samples_that_hang_together_widen_it() -> None:
    rng = np.random.default_rng(2)
    truth = np.repeat(rng.integers(0, 2, 150), 2).astype(float)
    judge = np.where(rng.random(300) < 0.1, 1 - truth, truth)
    pairs = np.repeat(np.arange(150), 2)

    def found(clusters: Any) -> PredictedMean:
        one, rest = part(judge[:100], 0, clusters[:100]), part(judge[100:], 0, clusters[100:])
        return ppi_mean(truth[:100], one, rest, 0.05)

    apart, together = found(np.arange(300)), found(pairs)
    assert together.mean == apart.mean
    wider = (together.interval.high - together.mean) / (apart.interval.high - apart.mean)
    assert 1.15 < wider < 1.6


def test_weights_count_as_so_many_samples() -> None:
    labels = np.array([0.0, 1.0, 1.0, 0.0])
    twice = Part(labels, np.array([1.0, 2.0, 1.0, 1.0]), np.arange(4))
    copied = part([0, 1, 1, 1, 0], 0, [0, 1, 1, 2, 3])
    rest = part([0, 1, 1, 0, 1], 10)
    one = ppi_mean(labels, twice, rest, 0.05)
    other = ppi_mean(np.array([0.0, 1.0, 1.0, 1.0, 0.0]), copied, rest, 0.05)
    assert one.mean == pytest.approx(0.6, abs=0.05)
    assert other.mean == pytest.approx(one.mean, abs=0.05)


@pytest.mark.parametrize("wrong", [0.05, 0.5])
def test_its_interval_holds_the_truth_as_often_as_it_says(wrong: float) -> None:
    """400 draws: 95% give or take 3.3 points is three standard errors."""
    rng = np.random.default_rng(int(100 * wrong))
    held, width, alone = 0, 0.0, 0.0
    for _ in range(400):
        truth = rng.choice([-1.0, 0.0, 1.0], p=[0.15, 0.65, 0.2], size=360)
        judge = np.where(rng.random(360) < wrong, rng.choice([-1.0, 0.0, 1.0], size=360), truth)
        found = ppi_mean(truth[:60], part(judge[:60], 0), part(judge[60:], 60), 0.05)
        held += found.interval.low <= 0.05 <= found.interval.high
        width += found.interval.high - found.interval.low
        alone += 2 * 2.001 * truth[:60].std(ddof=1) / 60**0.5
    assert 0.917 <= held / 400 <= 0.983
    assert width / alone < (0.65 if wrong < 0.1 else 1.02)


@pytest.mark.parametrize(("num", "others"), [(2, 5), (5, 0)])
def test_too_little_is_refused(num: int, others: int) -> None:
    with pytest.raises(ValueError, match="labelled clusters"):
        ppi_mean(np.ones(num), part([1.0] * num, 0), part([1.0] * others, num), 0.05)
