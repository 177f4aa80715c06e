"""Do two sets of texts come from one source? Two questions, each answered by numbers a text.

- Novelty: how like is a text to the nearest text of the reference? The reference is split: one
  half is what is compared with, the other shows what is usual. Texts of a new kind are far from
  everything, however few they are.
- Topics: kernel two-sample test with the cosine as kernel, so the mean vectors are compared. It
  sees topics that come more or less often, which leave the nearest text where it is.

Under no change the texts may be exchanged between the samples, so both p values are valid. Pure.
Sources: Gretton et al., "A Kernel Two-Sample Test" (2012); for distances to the nearest as a test,
Henze, "A multivariate two-sample test based on the number of nearest neighbor type coincidences"
(1988).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tasks.statistics.two_sample import Tested, permutation_p
from tasks.watch.embedding import folded

#: of the dense vectors that are permuted
_NUM_FEATURES = 1_024
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Scores:
    """One number a text: of the reference [num_reference], of the new ones [num_new]."""

    reference: NDArray[np.float64]
    new: NDArray[np.float64]


def novelty(vectors: Any, num_reference: int) -> Scores:
    """Cosine to the nearest text of the first half of the reference, 1: the same text.

    `vectors`: of embed, the reference's rows first, in random order. The scores of the reference
    are those of its second half.
    """
    num_anchors = num_reference // 2
    anchors = vectors[:num_anchors].T.tocsc()
    nearest = [
        (vectors[start : start + _ROWS_AT_ONCE] @ anchors).max(axis=1).toarray().ravel()
        for start in range(num_anchors, vectors.shape[0], _ROWS_AT_ONCE)
    ]
    scores = np.concatenate(nearest).astype(np.float64)
    return Scores(*np.split(scores, [num_reference - num_anchors]))


def topics(
    vectors: Any, num_reference: int, max_draws: int, rng: Generator
) -> tuple[Tested, Scores]:
    """Unbiased MMD² and its permutation p value; each text's score is how much more like the
    other new texts than like the other reference texts it is (their means differ by MMD²).
    """
    dense = folded(vectors, _NUM_FEATURES)
    # sums of thousands of products; the statistic is what is left of their differences
    own = np.einsum("ij,ij->i", dense, dense, dtype=np.float64)
    total = dense.sum(axis=0, dtype=np.float64)
    num_new = len(dense) - num_reference

    def statistic(is_new: NDArray[np.float32]) -> NDArray[np.float64]:
        """is_new: [draws, num_texts], 1 for a new text → [draws]"""
        sums = (is_new @ dense).astype(np.float64)
        with_new, with_all = np.einsum("ij,ij->i", sums, sums), sums @ total
        own_new = is_new @ own
        with_reference = total @ total - 2 * with_all + with_new
        own_reference = own.sum() - own_new
        result: NDArray[np.float64] = (
            (with_new - own_new) / (num_new * (num_new - 1))
            + (with_reference - own_reference) / (num_reference * (num_reference - 1))
            - 2 * (with_all - with_new) / (num_new * num_reference)
        )
        return result

    def draw(count: int) -> NDArray[np.float64]:
        chosen = rng.random((count, len(dense)), dtype=np.float32).argpartition(num_new, axis=1)
        is_new = np.zeros((count, len(dense)), dtype=np.float32)
        np.put_along_axis(is_new, chosen[:, :num_new], 1, axis=1)
        return statistic(is_new)

    seen = np.zeros((1, len(dense)), dtype=np.float32)
    seen[0, num_reference:] = 1
    observed = float(statistic(seen)[0])
    tested = Tested("kernel MMD, permuted", observed, permutation_p(observed, draw, max_draws))
    return tested, _leanings(dense, own, num_reference)


def _leanings(dense: NDArray[np.float32], own: NDArray[np.float64], num_reference: int) -> Scores:
    """Mean cosine with the new texts less that with the reference, itself left out."""
    num_new = len(dense) - num_reference
    reference, new = np.split(dense, [num_reference])
    with_reference = (dense @ reference.sum(axis=0)).astype(np.float64)
    with_new = (dense @ new.sum(axis=0)).astype(np.float64)
    first, last = slice(None, num_reference), slice(num_reference, None)
    return Scores(
        with_new[first] / num_new - (with_reference[first] - own[first]) / (num_reference - 1),
        (with_new[last] - own[last]) / (num_new - 1) - with_reference[last] / num_reference,
    )
