"""Texts as sets of hashed shingles: runs of three words, the unit of near-duplicate detection.

A word is a run of letters and digits, a single sign, or one character of a script written without
blanks. Words rather than characters, because "12 + 30" and "12 + 31" are alike by characters and
different questions. Hashes depend on the text alone, never on the other texts or their order.
Source: Broder, "On the resemblance and containment of documents" (1997).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

#: words in a shingle
WIDTH = 3
#: a shingle in more than this share of the texts of a family is its template, not its content …
COMMON_SHARE = 0.5
#: … provided the family has enough texts to tell
MIN_TEXTS_FOR_COMMON = 5
#: with fewer than so many, what texts share may also be one question in several wordings
MANY_TEXTS = 20

#: bounds the memory that words take, which are of all texts at hand
_TEXTS_AT_A_TIME = 4096

#: characters of scripts that are written without blanks, as inside of a regular expression's class
UNBROKEN = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{UNBROKEN}]|\w+|[^\w\s]")
_PADDING = "\n"  # never a word
_FACTORS = tuple(np.uint64(f) for f in (1, 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F))


@dataclass(frozen=True, slots=True)
class Shingles:
    """Shingle sets of many texts: those of text i are values[starts[i]:starts[i + 1]].

    values: [num_shingles] uint64, sorted and unique within a text, uniform over all 64 bits.
    starts: [num_texts + 1] int64. Every text has at least one shingle.
    """

    values: NDArray[np.uint64]
    starts: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def taken(self, mask: NDArray[np.bool_]) -> Shingles:
        """Those of the texts where the mask [num_texts] is true."""
        starts = np.concatenate([[0], np.cumsum(self.sizes[mask])])
        return Shingles(self.values[np.repeat(mask, self.sizes)], starts)

    def __len__(self) -> int:
        return len(self.starts) - 1


class _WordHashes(dict[str, int]):
    """64-bit hash of a word, computed when it is first met."""

    def __missing__(self, word: str) -> int:
        value = hash_of(word)
        self[word] = value
        return value


def hash_of(text: str) -> int:
    """64 bits that depend on the text alone."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def shingle(texts: Sequence[str]) -> Shingles:
    """The shingle set of every text. Linear in the length of the texts."""
    hashes = _WordHashes()
    parts = [
        _shingled(texts[first : first + _TEXTS_AT_A_TIME], hashes)
        for first in range(0, len(texts), _TEXTS_AT_A_TIME)
    ]
    sizes = [part.sizes for part in parts]
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.concatenate(sizes) if sizes else starts[1:], out=starts[1:])
    values = [part.values for part in parts]
    return Shingles(np.concatenate(values) if values else np.zeros(0, dtype=np.uint64), starts)


def without_common(shingles: Shingles, families: NDArray[np.int64]) -> tuple[Shingles, bool]:
    """Leave out what most texts of a family share (instructions pasted into every message).

    families: [num_texts] int64, labels of texts that are alike as a whole. Otherwise a long
    template around short questions makes all of them near-duplicates. Also whether anything was
    left out. Kept whole is a text that is nothing but template, and one that lacks a part of it:
    it is no filled-in template but a rewording of the others.
    """
    order = np.argsort(families, kind="stable")
    sets = [
        shingles.values[start:end]
        for start, end in zip(shingles.starts[:-1], shingles.starts[1:], strict=True)
    ]
    is_changed = False
    for texts in np.split(order, np.flatnonzero(np.diff(families[order])) + 1):
        if len(texts) < MIN_TEXTS_FOR_COMMON:
            continue
        values, counts = np.unique(np.concatenate([sets[t] for t in texts]), return_counts=True)
        common = values[counts > COMMON_SHARE * len(texts)]
        own = [np.setdiff1d(sets[text], common, assume_unique=True) for text in texts]
        if len(texts) < MANY_TEXTS and not min(map(len, own)):
            continue  # one of them says it all, and the others say it in more words
        for text, rest in zip(texts, own, strict=True):
            if len(rest) and len(sets[text]) - len(rest) == len(common) > 0:
                sets[text] = rest
                is_changed = True
    return _packed(sets), is_changed


def words_of(text: str) -> list[str]:
    return _WORD.findall(text)


def _shingled(texts: Sequence[str], hashes: _WordHashes) -> Shingles:
    """Of at least one text. All at once: a call of numpy takes longer than the work on a text."""
    words = [words_of(text) for text in texts]
    for short in words:
        short += [_PADDING] * (WIDTH - len(short))
    lengths = np.array([len(one) for one in words], dtype=np.int64)
    num_words = int(lengths.sum())
    of_words = map(hashes.__getitem__, chain.from_iterable(words))
    codes = np.fromiter(of_words, dtype=np.uint64, count=num_words)
    last = num_words - WIDTH + 1
    mixed = np.zeros(last, dtype=np.uint64)
    for offset, factor in enumerate(_FACTORS):
        mixed += codes[offset : last + offset] * factor  # the order of the words counts
    owner = np.repeat(np.arange(len(texts)), lengths)
    is_inside = owner[:last] == owner[WIDTH - 1 :]
    owner, mixed = owner[:last][is_inside], _scrambled(mixed[is_inside])
    order = np.lexsort((mixed, owner))
    owner, mixed = owner[order], mixed[order]
    is_first = np.ones(len(mixed), dtype=bool)
    is_first[1:] = (mixed[1:] != mixed[:-1]) | (owner[1:] != owner[:-1])
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.bincount(owner[is_first], minlength=len(texts)), out=starts[1:])
    return Shingles(mixed[is_first], starts)


def _scrambled(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: every bit of the input reaches every bit of the output."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result


def _packed(sets: Sequence[NDArray[np.uint64]]) -> Shingles:
    starts = np.zeros(len(sets) + 1, dtype=np.int64)
    np.cumsum([len(one) for one in sets], out=starts[1:])
    values = np.concatenate(sets) if sets else np.zeros(0, dtype=np.uint64)
    return Shingles(values, starts)
