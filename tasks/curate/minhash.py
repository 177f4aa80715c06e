"""MinHash signatures and their bands: finding the pairs of texts worth comparing.

Owns estimates and candidates only; dedup.py decides by the true Jaccard similarity. Deterministic:
the hash functions come from fixed constants.
Sources: Broder (1997); Indyk & Motwani, "Approximate nearest neighbors" (1998); Leskovec,
Rajaraman & Ullman, "Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.curate.shingles import Shingles

NUM_HASHES = 128
#: chance that a pair exactly at the threshold is in no band together
MAX_MISS = 1e-4
#: in a bucket, each text is compared with this many next to it; more would be quadratic
WINDOW = 16
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Banding:
    """How a signature is cut: `num_bands` bands of `rows` hashes each."""

    num_bands: int
    rows: int


def banding(threshold: float) -> Banding:
    """The most selective cut that misses a pair at the threshold with at most MAX_MISS."""
    for rows in range(NUM_HASHES, 1, -1):
        num_bands = NUM_HASHES // rows
        collide = threshold**rows
        if collide >= 1 or num_bands * math.log1p(-collide) <= math.log(MAX_MISS):
            return Banding(num_bands, rows)
    return Banding(NUM_HASHES, 1)


def signatures(shingles: Shingles) -> NDArray[np.uint32]:
    """[num_texts, NUM_HASHES] uint32: the smallest value of each hash function over a text's set.

    The share of equal columns of two rows estimates their Jaccard similarity with a standard
    error of at most 1 / (2 · sqrt(NUM_HASHES)) = 0.044.
    """
    constants = np.random.Generator(np.random.PCG64(0x666C79)).integers(
        0, 2**63, size=(NUM_HASHES, 2), dtype=np.uint64
    )
    result = np.empty((len(shingles), NUM_HASHES), dtype=np.uint32)
    for first, last in chunks(shingles.sizes, _CHUNK):
        values = shingles.values[shingles.starts[first] : shingles.starts[last]]
        offsets = shingles.starts[first:last] - shingles.starts[first]
        for column, (factor, shift) in enumerate(constants):
            hashed = ((values * (factor | np.uint64(1)) + shift) >> np.uint64(32)).astype(np.uint32)
            result[first:last, column] = np.minimum.reduceat(hashed, offsets)
    return result


def candidate_pairs(
    signature: NDArray[np.uint32], classes: NDArray[np.uint64], cut: Banding
) -> Iterator[NDArray[np.int64]]:
    """Band by band, the pairs [num_pairs, 2] int64 (smaller index first) that share the band.

    classes: [num_texts] uint64; only texts of one class are paired, and those of another take none
    of their places in a bucket. A bucket of up to WINDOW + 1 texts gives all its pairs. In a larger
    one each text is paired with the WINDOW next to it in the order of the whole signature, so the
    number of pairs grows linearly; near-duplicates lie close there and chain together.
    """
    order = sorted_rows(signature)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    for band in range(cut.num_bands):
        columns = signature[:, band * cut.rows : (band + 1) * cut.rows]
        key = _row_keys(columns, classes)
        inside = np.lexsort((rank, key))
        sorted_key = key[inside]
        pairs = []
        sorted_class = classes[inside]
        for distance in range(1, min(WINDOW, len(key) - 1) + 1):
            same = sorted_key[:-distance] == sorted_key[distance:]
            same &= sorted_class[:-distance] == sorted_class[distance:]
            if not same.any():
                break
            pairs.append(np.stack((inside[:-distance][same], inside[distance:][same]), axis=1))
        if pairs:
            yield np.sort(np.concatenate(pairs), axis=1)


def sorted_rows(signature: NDArray[np.uint32]) -> NDArray[np.int64]:
    """[num_texts] int64: the rows in their order, equal ones as they come. A row is compared as one
    run of bytes, which for numbers with the largest byte first is the order of the numbers."""
    rows = np.ascontiguousarray(signature, dtype=">u4")
    whole = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).reshape(-1)
    return np.argsort(whole, kind="stable")


def _row_keys(columns: NDArray[np.uint32], classes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[num_texts] uint64: a hash of each row and class; a collision costs a comparison, no more."""
    key = classes * np.uint64(0xC2B2AE3D27D4EB4F)
    for column in columns.T:
        key = (key ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def chunks(sizes: NDArray[np.int64], limit: int) -> Iterator[tuple[int, int]]:
    """Ranges of things of these sizes, of about `limit` together each, to bound memory."""
    number = np.cumsum(sizes) // limit
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(sizes)]
    for first, last in pairwise(edges):
        if last > first:
            yield first, last
