"""The paired score interval against published numbers and exhaustive enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tasks.statistics.tango import tango_interval, tango_p_value, tango_statistic


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


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize(("b", "c", "n"), [(0, 0, 60), (3, 9, 40), (12, 5, 200), (0, 6, 30)])
def test_the_p_value_is_the_dual_of_the_interval(b: int, c: int, n: int, alpha: float) -> None:
    interval = tango_interval(b, c, n, alpha)
    for off in (-1e-6, 1e-6):
        above = tango_p_value(b, c, n, interval.high + off)
        assert (above <= alpha / 2) == (off > 0)


def test_many_outcomes_at_once_are_each_alone() -> None:
    wins, losses = np.array([0.0, 3.0, 10.0]), np.array([4.0, 3.0, 0.0])
    together = tango_statistic(wins, losses, 40, -0.05)
    alone = [float(tango_statistic(b, c, 40, -0.05)) for b, c in zip(wins, losses, strict=True)]
    assert together.tolist() == alone
    assert alone == sorted(alone)
