"""Near-duplicates: which texts count as one.

Only texts with the same values (values.py) can be. Candidates come from MinHash bands; every
candidate pair is then decided by the true Jaccard similarity of the two shingle sets, and what is
alike is joined (single linkage). A pair at the threshold is missed with a chance of about 1e-4; far
above it, never in practice. A family that is alike because its texts fill in one template is looked
at again without the template (shingles.py), as often as that takes it apart. A group for which
people named different right answers is no group of one question: there only texts with the same
answers stay together. The result does not depend on the order of the texts. Exact duplicates are
texts equal after normalize.normalize.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.curate.clusters import smallest_members
from tasks.curate.minhash import banding, candidate_pairs, chunks, signatures
from tasks.curate.normalize import text_digest
from tasks.curate.shingles import MIN_TEXTS_FOR_COMMON, Shingles, shingle, without_common
from tasks.curate.values import ValueReader

#: candidates whose estimate is this far below the threshold (over 4 standard errors) are not alike
_SLACK = 0.2
_CHUNK = 1 << 21
#: templates inside of templates (a version, a customer, a day) that are looked through
_MAX_LAYERS = 8

#: (kind of question, right answer) of a text
Answers = Mapping[str, Collection[tuple[Hashable, str]]]


def near_duplicate_groups(
    texts: Sequence[str], threshold: float, answers: Answers | None = None
) -> list[int]:
    """For every text a group number; equal texts and near-duplicates share one.

    `answers`: text → what people said the right answers to it are, each with the kind of question
    (the same text can be asked in several). Numbers run from 0 in the order of the texts' digests:
    they do not depend on the order given.
    """
    digests = [text_digest(text) for text in texts]
    text_of = dict(zip(digests, texts, strict=True))
    unique = sorted(text_of)
    if not unique:
        return []
    reader = ValueReader()
    classes = np.array([reader.key(text_of[digest]) for digest in unique], dtype=np.uint64)
    roots = _among_their_class([text_of[digest] for digest in unique], classes, threshold)
    is_shared = np.bincount(roots)[roots] > 1  # alone in its group, a text contradicts nobody
    known = answers or {}
    labels = _with_one_answer(
        roots.tolist(),
        [
            frozenset(known.get(text_of[digest], ()) if shared else ())
            for digest, shared in zip(unique, is_shared.tolist(), strict=True)
        ],
    )
    number = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    group = {digest: number[label] for digest, label in zip(unique, labels, strict=True)}
    return [group[digest] for digest in digests]


def _among_their_class(
    texts: Sequence[str], classes: NDArray[np.uint64], threshold: float
) -> NDArray[np.int64]:
    """[num_texts] int64: root of the group of every text. One that is alone in its class is alone,
    whatever its words are."""
    roots = np.arange(len(texts), dtype=np.int64)
    _, which, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    open_texts = np.flatnonzero(sizes[which.reshape(-1)] > 1)
    if len(open_texts):
        sets = shingle([texts[text] for text in open_texts.tolist()])
        roots[open_texts] = open_texts[_layer_by_layer(sets, classes[open_texts], threshold)]
    return roots


def _layer_by_layer(
    sets: Shingles, classes: NDArray[np.uint64], threshold: float
) -> NDArray[np.int64]:
    """[num_texts] int64: root of the group of every text, once templates are looked through."""
    roots = _joined(sets, classes, threshold)
    open_texts = np.arange(len(sets))
    for _ in range(_MAX_LAYERS):
        is_large = np.bincount(roots)[roots[open_texts]] >= MIN_TEXTS_FOR_COMMON
        open_texts, sets = open_texts[is_large], sets.taken(is_large)
        families = roots[open_texts]
        sets, is_changed = without_common(sets, families)
        if not is_changed:
            break
        again = open_texts[_joined(sets, families.astype(np.uint64), threshold)]
        roots[open_texts] = again
        # what stayed together without its template is one question
        is_split = np.isin(families, families[again != families])
        open_texts, sets = open_texts[is_split], sets.taken(is_split)
    return roots


def _with_one_answer(
    roots: Sequence[int], answers: Sequence[frozenset[tuple[Hashable, str]]]
) -> list[Hashable]:
    """Labels as the roots are, but for groups in which right answers to one kind of question
    differ: there each text goes with those of the same answers, and alone where it has none."""
    by_kind: dict[tuple[int, Hashable], set[frozenset[str]]] = {}
    for root, known in zip(roots, answers, strict=True):
        for kind in {kind for kind, _ in known}:
            of_kind = frozenset(answer for its, answer in known if its == kind)
            by_kind.setdefault((root, kind), set()).add(of_kind)
    divided = {root for (root, _), said in by_kind.items() if len(said) > 1}
    return [
        root if root not in divided else (root, known or text)
        for text, (root, known) in enumerate(zip(roots, answers, strict=True))
    ]


def _joined(sets: Shingles, classes: NDArray[np.uint64], threshold: float) -> NDArray[np.int64]:
    """[num_texts] int64: root of the group of every text; no group spans two classes."""
    signature = signatures(sets)
    sizes = sets.sizes
    roots = np.arange(len(sets), dtype=np.int64)
    refused = np.zeros(0, dtype=np.int64)  # codes of pairs looked at and found different
    for candidates in candidate_pairs(signature, classes, banding(threshold)):
        pairs = candidates[roots[candidates[:, 0]] != roots[candidates[:, 1]]]
        codes, where = np.unique(pairs[:, 0] * len(sets) + pairs[:, 1], return_index=True)
        fresh = ~np.isin(codes, refused, assume_unique=True)
        codes, pairs = codes[fresh], pairs[where[fresh]]
        small, large = np.sort(sizes[pairs], axis=1).T
        likely = small >= threshold * large
        likely[likely] = _estimate(signature, pairs[likely]) >= threshold - _SLACK
        alike = np.zeros(len(pairs), dtype=bool)
        alike[likely] = jaccard(sets, pairs[likely]) >= threshold
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


def jaccard(sets: Shingles, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """[num_pairs] float64: the true Jaccard similarity of each pair [num_pairs, 2] of texts. Looks
    every shingle of the smaller set up in the larger one, many pairs at a time."""
    sizes = sets.sizes
    swap = sizes[pairs[:, 0]] > sizes[pairs[:, 1]]
    small = np.where(swap, pairs[:, 1], pairs[:, 0])
    large = np.where(swap, pairs[:, 0], pairs[:, 1])
    shared = np.zeros(len(pairs), dtype=np.int64)
    for first, last in chunks(sizes[small], _CHUNK):
        lengths = sizes[small[first:last]]
        offsets = np.cumsum(lengths) - lengths
        within = np.arange(lengths.sum()) - np.repeat(offsets, lengths)
        wanted = sets.values[np.repeat(sets.starts[small[first:last]], lengths) + within]
        among = large[first:last]
        is_there = _is_among(
            sets.values,
            wanted,
            np.repeat(sets.starts[among], lengths),
            np.repeat(sets.starts[among + 1], lengths),
        )
        shared[first:last] = np.add.reduceat(is_there.astype(np.int64), offsets)
    union = sizes[small] + sizes[large] - shared
    return np.asarray(shared / union, dtype=np.float64)


def _is_among(
    values: NDArray[np.uint64],
    wanted: NDArray[np.uint64],
    first: NDArray[np.int64],
    end: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """[num_wanted] bool: whether each is among the values from its `first` to before its `end`,
    which are sorted there and at least one: bisection, all at once."""
    low, high = first, end - 1  # the first that is not smaller lies here, if any does
    while (low < high).any():
        middle = (low + high) // 2
        is_smaller = values[middle] < wanted
        low, high = (
            np.where(is_smaller, np.minimum(middle + 1, high), low),
            np.where(is_smaller, high, middle),
        )
    return np.asarray(values[low] == wanted)
