"""Kappa against scikit-learn, and where it is not defined."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tasks.statistics.agreement import agreement


def test_of_right_and_wrong_it_is_cohens_kappa() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2, 80)
    other = np.where(rng.random(80) < 0.2, 1 - one, one)
    found = agreement(one.astype(float), other.astype(float))
    assert found.kappa == pytest.approx(cohen_kappa_score(one, other))
    assert found.accuracy == pytest.approx((one == other).mean())


def test_of_steps_it_is_kappa_with_quadratic_weights() -> None:
    rng = np.random.default_rng(1)
    one = rng.integers(1, 6, 80)
    other = np.clip(one + rng.integers(-2, 3, 80), 1, 5)
    found = agreement((one - 1) / 4, (other - 1) / 4)
    assert found.kappa == pytest.approx(cohen_kappa_score(one, other, weights="quadratic"))


def test_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Right with probability 0.85 of even classes: kappa 0.7. Three standard errors of 400."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        one = rng.integers(0, 2, 100).astype(float)
        found = agreement(one, np.where(rng.random(100) < 0.15, 1 - one, one))
        assert found.interval is not None
        held += found.interval.low <= 0.7 <= found.interval.high
    assert 0.91 <= held / 400 <= 0.985


def test_where_a_rater_says_always_the_same_there_is_no_agreement_to_speak_of() -> None:
    one = np.ones(20)
    assert agreement(one, one).kappa is None
    assert agreement(one, np.array([0.0, 1.0] * 10)).kappa == pytest.approx(0)


@pytest.mark.parametrize("num", [0, 1, 2])
def test_of_hardly_any_items_nothing_is_told(num: int) -> None:
    values = np.array([0.0, 1.0])[:num]
    found = agreement(values, values)
    assert (found.num_items, found.kappa, found.interval) == (num, None, None)


def test_what_hangs_on_one_item_has_no_interval() -> None:
    values = np.array([0.0, 0.0, 0.0, 1.0])
    assert agreement(values, values).interval is None
