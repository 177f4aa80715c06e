"""Many tests, one error rate: which p values of a family are small enough. Pure.

Papers: Holm, "A simple sequentially rejective multiple test procedure" (1979); Benjamini &
Hochberg (1995), and Benjamini & Yekutieli (2001) for its use with positively dependent tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values in the order given: reject those up to alpha and the chance of any false
    rejection is at most alpha, whatever the dependence."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def false_discovery(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values in the order given: of those up to q, the expected share of false ones is
    at most q. Assumes tests that are independent or positively dependent, as one-sided tests of
    means that share samples are."""
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(np.asarray(p_values))]
