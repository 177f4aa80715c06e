"""Which items belong together once all their ties are known: connected components, by scipy.

A component is named by its smallest member, so the order of the ties decides nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


def smallest_members(size: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """[size] int64: the smallest item each of 0 … size-1 is joined with by the pairs [num, 2]."""
    graph = csr_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    labels = connected_components(graph, directed=False, return_labels=True)[1]
    first_of_label = np.unique(labels, return_index=True)[1]
    return np.asarray(first_of_label[labels], dtype=np.int64)


def clusters_of(ties: Sequence[Iterable[Hashable]]) -> list[int]:
    """Items that share a tie (a session, a near-duplicate group, …), even through others, are one.

    `ties[i]` are the names item i is tied by; the answer gives every item the smallest index of
    its cluster. An item without ties is a cluster of its own.
    """
    first_with: dict[Hashable, int] = {}
    pairs = [
        (first_with.setdefault(name, item), item)
        for item, names in enumerate(ties)
        for name in names
    ]
    edges = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return [int(member) for member in smallest_members(len(ties), edges)]
