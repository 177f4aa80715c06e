"""Paired yes/no statistics against statsmodels, published numbers and exhaustive enumeration."""

from __future__ import annotations

import math

import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from tasks.statistics.mcnemar import exact_p_value, mid_p_value, tango_interval
from tasks.statistics.multiplicity import holm, holm_levels


@pytest.mark.parametrize(("b", "c"), [(1, 0), (5, 1), (12, 29), (7, 7), (40, 20)])
def test_exact_p_is_that_of_statsmodels(b: int, c: int) -> None:
    expected = mcnemar([[50, b], [c, 30]], exact=True).pvalue
    assert exact_p_value(b, c) == pytest.approx(expected)
    assert exact_p_value(c, b) == pytest.approx(expected)


@pytest.mark.parametrize(("b", "c"), [(1, 0), (5, 1), (12, 29), (40, 20)])
def test_mid_p_takes_half_the_chance_of_what_was_seen(b: int, c: int) -> None:
    few, all_of_them = min(b, c), b + c
    expected = 2 * stats.binom.cdf(few - 1, all_of_them, 0.5) + stats.binom.pmf(
        few, all_of_them, 0.5
    )
    assert mid_p_value(b, c) == mid_p_value(c, b) == pytest.approx(expected)


def test_mid_p_of_the_published_example() -> None:
    # Fagerland, Lydersen & Laake (2013), airway hyper-responsiveness: 1 against 7 discordant pairs
    assert exact_p_value(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert mid_p_value(1, 7) == pytest.approx(0.0391, abs=5e-5)


def test_no_discordant_pair_speaks_for_nobody() -> None:
    assert exact_p_value(0, 0) == mid_p_value(0, 0) == 1.0
    assert mid_p_value(4, 4) < 1.0


def test_tango_of_the_published_example() -> None:
    # Fagerland, Lydersen & Laake (2014), the same 21 pairs
    found = tango_interval(1, 7, 21, 0.05)
    assert (found.low, found.high) == pytest.approx((-0.517, -0.026), abs=1e-3)


@pytest.mark.parametrize("count", [1, 10, 72, 5000])
def test_tango_without_discordant_pairs_is_not_empty(count: int) -> None:
    z2 = stats.norm.ppf(0.975) ** 2
    found = tango_interval(0, 0, count, 0.05)
    assert found.high == pytest.approx(z2 / (count + z2))
    assert found.low == -found.high


@pytest.mark.parametrize(("b", "c", "n"), [(10, 0, 10), (0, 10, 10), (3, 9, 40), (1, 0, 1)])
def test_tango_mirrors_holds_the_estimate_and_stays_in_range(b: int, c: int, n: int) -> None:
    found, mirrored = tango_interval(b, c, n, 0.05), tango_interval(c, b, n, 0.05)
    assert (mirrored.low, mirrored.high) == (-found.high, -found.low)
    assert -1 <= found.low <= (b - c) / n <= found.high <= 1


@pytest.mark.parametrize(("won", "lost"), [(0.1, 0.1), (0.05, 0.1), (0.3, 0.35), (0.0, 0.05)])
def test_tango_covers_by_enumeration_of_all_outcomes(won: float, lost: float) -> None:
    """The exact coverage at n = 60, summed over every (b, c)."""
    n, covered = 60, 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            chance = stats.multinomial.pmf([b, c, n - b - c], n, [won, lost, 1 - won - lost])
            if chance > 1e-9:
                found = tango_interval(b, c, n, 0.05)
                covered += chance * (found.low <= won - lost <= found.high)
    assert 0.935 < covered <= 1


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = [0.01, 0.04, 0.03, 0.005, 0.8]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    assert holm([]) == []


def test_levels_decide_what_holm_decides_on_p_values() -> None:
    for p_values in (
        [0.01, 0.02, 0.04],
        [0.02, 0.03, 0.04],
        [0.001, 0.9, 0.03],
        [0.05],
        [0.2, 0.3],
    ):
        levels = holm_levels(len(p_values), 0.05, lambda i, level, p=p_values: p[i] <= level)
        decided = [p <= level for p, level in zip(p_values, levels, strict=True)]
        assert decided == [p <= 0.05 for p in holm(p_values)]


def test_one_test_has_all_of_alpha_and_none_has_none() -> None:
    assert holm_levels(1, 0.05, lambda _i, _level: False) == [0.05]
    assert holm_levels(0, 0.05, lambda _i, _level: False) == []
    assert math.isclose(sum(holm_levels(3, 0.06, lambda _i, _level: False)), 0.06)
