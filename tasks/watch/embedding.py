"""Texts as vectors without a model: hashed words, pairs of words and runs of characters, weighted
by how rare they are.

Two texts are alike (cosine) when they share rare words or pieces of words. Meaning behind other
words is not seen. Runs of characters serve scripts written without blanks, and misspellings.
Everything is computed over one array of all characters, so 10,000 short texts take a tenth of a
second. Pure.
Sources: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009); Spärck
Jones, "A statistical interpretation of term specificity" (1972).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: of a text, its first characters
MAX_TEXT_CHARS = 1_000
_NUM_FEATURES = 2**15
_RUNS = (3, 4)
_BLANK = 32

Hashes = NDArray[np.uint64]


def normalized(text: str) -> str:
    """One form for what a reader would call the same text, shortened."""
    folded = unicodedata.normalize("NFKC", text[:MAX_TEXT_CHARS]).casefold()
    return " ".join(folded.split())


def embed(texts: Sequence[str]) -> Any:
    """Vectors of length 1, a scipy CSR array [num_texts, 32768] of float32.

    `texts` are normalized and not empty. The rarity of a feature is counted over all of them.
    """
    from scipy.sparse import csr_array

    rows, hashes = _features(texts)
    columns = (hashes % np.uint64(_NUM_FEATURES)).astype(np.int32)
    signs = np.where(hashes >> np.uint64(63), 1, -1).astype(np.float32)
    counts = csr_array((signs, (rows, columns)), shape=(len(texts), _NUM_FEATURES))
    counts.sum_duplicates()
    num_texts_with = np.bincount(counts.indices, minlength=_NUM_FEATURES)
    rarity = np.log((1 + len(texts)) / (1 + num_texts_with)).astype(np.float32)
    counts.data *= rarity[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1  # what all texts share says nothing
    counts.data /= np.repeat(lengths, np.diff(counts.indptr))
    return counts


def folded(vectors: Any, num_features: int) -> NDArray[np.float32]:
    """The same in fewer features, dense: [num_texts, num_features]. Products are kept on average,
    since every feature has a sign of its own.
    """
    from scipy.sparse import csr_array

    narrow = csr_array(
        (vectors.data, vectors.indices % num_features, vectors.indptr),
        shape=(vectors.shape[0], num_features),
    )
    dense: NDArray[np.float32] = narrow.toarray()
    return dense


def _features(texts: Sequence[str]) -> tuple[NDArray[np.int64], Hashes]:
    """For every feature of every text, the number of the text and a hash of 64 bits."""
    padded = [f" {text} " for text in texts]
    encoded = "".join(padded).encode("utf-32-le", "surrogatepass")
    codes: Hashes = np.frombuffer(encoded, dtype=np.uint32).astype(np.uint64)
    text_of = np.repeat(np.arange(len(texts)), [len(text) for text in padded])
    rows, hashes = [], []
    for width in _RUNS:
        last = max(0, len(codes) - width + 1)
        mixed = np.full(last, width, dtype=np.uint64)
        for offset in range(width):
            mixed = _scrambled(mixed + codes[offset : last + offset])
        whole = text_of[:last] == text_of[len(codes) - last :]
        rows.append(text_of[:last][whole])
        hashes.append(mixed[whole])
    starts, words = _words(codes)
    rows.append(text_of[starts])
    hashes.append(words)
    neighbours = text_of[starts[:-1]] == text_of[starts[1:]]
    rows.append(text_of[starts[:-1]][neighbours])
    hashes.append(_scrambled(words[:-1] * np.uint64(3) + words[1:])[neighbours])
    return np.concatenate(rows), np.concatenate(hashes)


def _words(codes: Hashes) -> tuple[NDArray[np.int64], Hashes]:
    """Where each word begins, and its hash: a sum over its characters with their places in it."""
    in_word = codes != _BLANK
    begins = in_word & np.concatenate([[True], ~in_word[:-1]])
    starts = np.flatnonzero(begins)
    place = np.arange(len(codes)) - starts[np.maximum(np.cumsum(begins) - 1, 0)]
    mixed = _scrambled(codes + _scrambled(place.astype(np.uint64)))
    mixed[~in_word] = 0
    return starts, _scrambled(np.add.reduceat(mixed, starts))


def _scrambled(values: Hashes) -> Hashes:
    """The finaliser of splitmix64: every bit of the input reaches every bit of the output."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Hashes = mixed ^ (mixed >> np.uint64(31))
    return result
