"""Many tests, one error rate: Holm's correction, of p values and of the levels of intervals.

Pure. Paper: Holm, "A simple sequentially rejective multiple test procedure" (1979).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


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


def holm_levels(num_tests: int, alpha: float, decides: Callable[[int, float], bool]) -> list[float]:
    """The error rate each of `num_tests` intervals is to be drawn with.

    `decides(i, level)` tells whether the interval of test i at that level settles its question.
    All start at alpha / num_tests; those that settle keep it, the others share alpha among as many
    as are left, until no more settle. The same decisions as Holm's on p values: with one test,
    alpha; never below alpha / num_tests. `decides` must not be true at a smaller level and
    false at a larger one.
    """
    levels = [0.0] * num_tests
    open_tests = list(range(num_tests))
    while open_tests:
        level = alpha / len(open_tests)
        for index in open_tests:
            levels[index] = level
        still_open = [index for index in open_tests if not decides(index, level)]
        if len(still_open) == len(open_tests):
            break
        open_tests = still_open
    return levels
