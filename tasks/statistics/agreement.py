"""How far two raters agree on the same items: kappa with its interval, and the share they agree on.

Pure numpy, scipy for quantiles (imported late). Knows nothing of judges or people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tasks.model.comparison import Interval
from tasks.statistics.intervals import Values, wilson_interval

_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """`kappa` None: not defined, a rater tells nothing apart; `interval` at 95%. `accuracy`: the
    share of items that both put on the same side of 0.5, or both at 0.5."""

    num_items: int
    kappa: float | None
    interval: Interval | None
    accuracy: float | None
    accuracy_interval: Interval | None


def agreement(one: Values, other: Values, alpha: float = 0.05) -> Agreement:
    """Of values in 0 to 1, [n] float64 each.

    Estimator: Cohen's kappa with quadratic weights, 1 - observed / expected squared disagreement;
    of right/wrong values it is Cohen's kappa without weights, of any it is Lin's concordance, so
    that a rater with five steps can be held against one with two. Interval: jackknife with
    Student's t, clipped to -1 and 1. Below three items, or where both raters give every item the
    same value, kappa is not defined. Assumes independent items.
    Papers: Cohen (1968); Fleiss & Cohen (1973); Lin (1989); Efron & Stein (1981) for the jackknife.
    """
    num = len(one)
    if not num:
        return Agreement(0, None, None, None, None)
    same = int((np.sign(one - 0.5) == np.sign(other - 0.5)).sum())
    share = same / num
    kappa = _kappas(one, other, left_out=False) if num >= _FEWEST else np.array([math.nan])
    found = None if math.isnan(kappa[0]) else float(kappa[0])
    return Agreement(
        num, found, None if found is None else _jackknife(found, one, other, alpha),
        share, wilson_interval(same, num, alpha),
    )  # fmt: skip


def _kappas(one: Values, other: Values, *, left_out: bool) -> Values:
    """[1] of all items, or [n] with one item left out each; NaN where it is not defined."""
    num = len(one) - left_out
    sums = [
        np.atleast_1d(math.fsum(part) - (part if left_out else 0.0))
        for part in (one, other, one**2, other**2, (one - other) ** 2)
    ]
    x, y, xx, yy, apart = (part / num for part in sums)
    expected = xx + yy - 2 * x * y
    with np.errstate(divide="ignore", invalid="ignore"):
        kappas: Values = np.where(expected > 1e-12, 1 - apart / expected, np.nan)
    return kappas


def _jackknife(kappa: float, one: Values, other: Values, alpha: float) -> Interval | None:
    from scipy.special import stdtrit

    num = len(one)
    parts = _kappas(one, other, left_out=True)
    if np.isnan(parts).any():
        return None  # it hangs on a single item
    error = math.sqrt((num - 1) / num * math.fsum((parts - parts.mean()) ** 2))
    half = float(stdtrit(num - 1, 1 - alpha / 2)) * error
    return Interval(kappa - half, kappa + half).clipped(-1.0, 1.0)
