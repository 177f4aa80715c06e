"""Near-duplicates: which texts count as one.

Candidates come from MinHash bands; every candidate pair is then decided by the true Jaccard
similarity of the two shingle sets, and what is alike is joined (single linkage). A pair at the
threshold is missed with a chance of about 1e-4; far above it, never in practice. The result does
not depend on the order of the texts. Exact duplicates are texts equal after normalize.normalize.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.curate.clusters import smallest_members
from tasks.curate.minhash import banding, candidate_pairs, chunks, signatures
from tasks.curate.normalize import text_digest
from tasks.curate.shingles import Shingles, shingle, without_common

#: candidates whose estimate is this far below the threshold (over 4 standard errors) are not alike
_SLACK = 0.2
_CHUNK = 1 << 21


def near_duplicate_groups(
    texts: Sequence[str], strata: Sequence[Hashable], threshold: float
) -> list[int]:
    """For every text a group number; equal texts and near-duplicates share one.

    `strata[i]` says among which texts a shared template is recognised (the kind of task).
    Numbers run from 0 in the order of the texts' digests: they do not depend on the order given.
    """
    digests = [text_digest(text) for text in texts]
    stratum_of: dict[str, Hashable] = {}
    text_of: dict[str, str] = {}
    for digest, text, stratum in zip(digests, texts, strata, strict=True):
        text_of[digest] = text
        # one text in several strata: the smallest name, so that order does not matter
        stratum_of[digest] = min(stratum_of.get(digest, stratum), stratum, key=str)
    unique = sorted(text_of)
    if not unique:
        return []
    sets = without_common(
        shingle([text_of[digest] for digest in unique]), [stratum_of[d] for d in unique]
    )
    roots = _joined(sets, threshold)
    number = {root: index for index, root in enumerate(dict.fromkeys(roots.tolist()))}
    group = {d: number[root] for d, root in zip(unique, roots.tolist(), strict=True)}
    return [group[digest] for digest in digests]


def jaccard(sets: Shingles, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """[num_pairs] float64: the true Jaccard similarity of each pair [num_pairs, 2] of texts."""
    vocabulary, ids = np.unique(sets.values, return_inverse=True)
    owner = np.repeat(np.arange(len(sets)), sets.sizes)
    keys = owner * len(vocabulary) + ids.reshape(-1)  # sorted: by text, then by shingle
    return _jaccard(sets, pairs, ids.reshape(-1), keys, len(vocabulary))


def _joined(sets: Shingles, threshold: float) -> NDArray[np.int64]:
    """[num_texts] int64: root of the group of every text."""
    signature = signatures(sets)
    vocabulary, inverse = np.unique(sets.values, return_inverse=True)
    ids = inverse.reshape(-1)
    keys = np.repeat(np.arange(len(sets)), sets.sizes) * len(vocabulary) + ids
    sizes = sets.sizes
    roots = np.arange(len(sets), dtype=np.int64)
    refused = np.zeros(0, dtype=np.int64)  # codes of pairs looked at and found different
    for candidates in candidate_pairs(signature, banding(threshold)):
        pairs = candidates[roots[candidates[:, 0]] != roots[candidates[:, 1]]]
        codes, where = np.unique(pairs[:, 0] * len(sets) + pairs[:, 1], return_index=True)
        fresh = ~np.isin(codes, refused, assume_unique=True)
        codes, pairs = codes[fresh], pairs[where[fresh]]
        small, large = np.sort(sizes[pairs], axis=1).T
        likely = small >= threshold * large
        likely[likely] = _estimate(signature, pairs[likely]) >= threshold - _SLACK
        alike = np.zeros(len(pairs), dtype=bool)
        similarity = _jaccard(sets, pairs[likely], ids, keys, len(vocabulary))
        alike[likely] = similarity >= threshold
        refused = np.union1d(refused, codes[~alike])
        known = np.column_stack([np.arange(len(sets)), roots])
        roots = smallest_members(len(sets), np.vstack([known, pairs[alike]]))
    return roots


def _estimate(signature: NDArray[np.uint32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    parts = [
        (signature[part[:, 0]] == signature[part[:, 1]]).mean(axis=1)
        for part in np.array_split(pairs, len(pairs) // 100_000 + 1)
    ]
    return np.concatenate(parts)


def _jaccard(
    sets: Shingles,
    pairs: NDArray[np.int64],
    ids: NDArray[np.int64],
    keys: NDArray[np.int64],
    num_ids: int,
) -> NDArray[np.float64]:
    """Look every shingle of the smaller set up in the larger one, many pairs at a time."""
    sizes = sets.sizes
    swap = sizes[pairs[:, 0]] > sizes[pairs[:, 1]]
    small = np.where(swap, pairs[:, 1], pairs[:, 0])
    large = np.where(swap, pairs[:, 0], pairs[:, 1])
    shared = np.zeros(len(pairs), dtype=np.int64)
    for first, last in chunks(sizes[small], _CHUNK):
        lengths = sizes[small[first:last]]
        offsets = np.cumsum(lengths) - lengths
        within = np.arange(lengths.sum()) - np.repeat(offsets, lengths)
        wanted = ids[np.repeat(sets.starts[small[first:last]], lengths) + within]
        wanted = wanted + np.repeat(large[first:last], lengths) * num_ids
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        shared[first:last] = np.add.reduceat((keys[place] == wanted).astype(np.int64), offsets)
    union = sizes[small] + sizes[large] - shared
    return np.asarray(shared / union, dtype=np.float64)
