"""How a difference made by several parts at once is split among them. Pure numpy.

A cell is the set of parts that are the challenger's, as bits: cell 0 is the champion, the last one
the challenger, and bit i of a cell's number says whether part i is the challenger's.

Papers: Shapley, "A value for n-person games" (1953): the only split that adds up, treats equal
parts alike, gives nothing to a part that does nothing and is linear; Grabisch & Roubens, "An
axiomatic approach to the concept of interaction among players in cooperative games" (1999).
"""

from __future__ import annotations

from math import factorial

import numpy as np

from tasks.statistics.intervals import Values


def shapley_values(scores: Values, num_parts: int) -> Values:
    """[num_samples, 2^num_parts] scores of every cell → [num_samples, num_parts] contributions.

    A part's is what it changes when it joins the parts of a cell, averaged over every order of
    joining. Those of a sample add up to its last score minus its first.
    """
    values = np.zeros((len(scores), num_parts))
    for part in range(num_parts):
        for cell in _cells_without(num_parts, part):
            joined = cell.bit_count()
            orders = factorial(joined) * factorial(num_parts - joined - 1)
            gain = scores[:, cell | 1 << part] - scores[:, cell]
            values[:, part] += orders / factorial(num_parts) * gain
    return values


def interaction_index(scores: Values, num_parts: int, first: int, second: int) -> Values:
    """[num_samples]: what both parts change together beyond what each changes without the other,
    averaged over the cells of the other parts; within [-2, 2] for scores in [0, 1]."""
    index = np.zeros(len(scores))
    for cell in _cells_without(num_parts, first, second):
        joined = cell.bit_count()
        orders = factorial(joined) * factorial(num_parts - joined - 2)
        one, other = cell | 1 << first, cell | 1 << second
        beyond = scores[:, one | other] - scores[:, one] - scores[:, other] + scores[:, cell]
        index += orders / factorial(num_parts - 1) * beyond
    return index


def _cells_without(num_parts: int, *parts: int) -> list[int]:
    return [cell for cell in range(2**num_parts) if not any(cell >> part & 1 for part in parts)]
