"""Disjoint sets: which items belong together once all their ties are known.

Owns union by smallest index, so that the result does not depend on the order of the ties.
Source: Tarjan, "Efficiency of a good but not linear set union algorithm", J. ACM 22 (1975).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


class DisjointSets:
    """Sets over 0 … size-1. The root of a set is its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, item: int) -> int:
        parent = self._parent
        top = item
        while parent[top] != top:
            top = parent[top]
        while parent[item] != top:
            parent[item], item = top, parent[item]
        return top

    def unite(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low

    def roots(self) -> NDArray[np.int64]:
        """[size] int64: the root of every item."""
        return np.array([self.root(item) for item in range(len(self._parent))], dtype=np.int64)


def clusters_of(ties: Sequence[Iterable[Hashable]]) -> list[int]:
    """Items that share a tie (a session, a near-duplicate group, …), even through others, are one.

    `ties[i]` are the names item i is tied by; the answer gives every item the smallest index of
    its cluster. An item without ties is a cluster of its own.
    """
    sets = DisjointSets(len(ties))
    first_with: dict[Hashable, int] = {}
    for item, names in enumerate(ties):
        for name in names:
            sets.unite(item, first_with.setdefault(name, item))
    return [sets.root(item) for item in range(len(ties))]
