"""Several suites, one decision: Holm's correction for intervals.

Pure. Paper: Holm, "A simple sequentially rejective multiple test procedure" (1979).
"""

from __future__ import annotations

from collections.abc import Callable


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
