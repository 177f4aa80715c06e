"""What moved in a column: shares of its values before and now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.model.drift import Moved

MAX_MOVED = 5
MAX_VALUE_CHARS = 80


def moved_values(before: Counter[str], after: Counter[str]) -> tuple[Moved, ...]:
    """The values whose share changed most, the largest change first. Neither side is empty."""
    shares = [
        Moved(value[:MAX_VALUE_CHARS], before[value] / before.total(), after[value] / after.total())
        for value in before | after
    ]
    return _largest(shares)


def moved_numbers(
    reference: NDArray[np.float64], new: NDArray[np.float64], none: str
) -> tuple[Moved, ...]:
    """The same of numbers, between the quartiles that they had before; NaN is `none`."""
    known = reference[~np.isnan(reference)]
    edges = np.unique(np.quantile(known, (0.25, 0.5, 0.75))) if len(known) else np.array([])
    named = list(_bands(edges))
    sides = []
    for values in (reference, new):
        places = np.searchsorted(edges, values[~np.isnan(values)], side="left")
        counts = Counter(named[place] for place in places.tolist())
        counts[none] += int(np.isnan(values).sum())
        sides.append(+counts)
    return moved_values(*sides)


def _bands(edges: NDArray[np.float64]) -> Iterator[str]:
    texts = [f"{edge:.4g}" for edge in edges]
    if not texts:
        yield "any number"
        return
    yield f"up to {texts[0]}"
    yield from (f"{low} to {high}" for low, high in pairwise(texts))
    yield f"above {texts[-1]}"


def _largest(shares: list[Moved]) -> tuple[Moved, ...]:
    changed = [one for one in shares if one.new_share != one.old_share]
    changed.sort(key=lambda one: (-abs(one.new_share - one.old_share), one.value))
    return tuple(changed[:MAX_MOVED])
