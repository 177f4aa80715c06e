"""Where two texts differ, word by word. Pure.

By difflib (Ratcliff and Obershelp) on words, marks and, in scripts that put no blank between words,
characters. White space counts only where nothing else differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

#: of each text, beyond what both begin and end with; more is one difference
MAX_WORDS = 2_000

_WORD = re.compile(
    r"(?:[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff]|"
    r"[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff]+|[^\w\s])\s*|\s+"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; `is_other`: the other text has something else there, or nothing."""

    text: str
    is_other: bool


def word_difference(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both texts in pieces, which joined are the texts."""
    before: list[str] = _WORD.findall(old)
    after: list[str] = _WORD.findall(new)
    keys: list[list[str]] = [[word.strip() for word in words] for words in (before, after)]
    if keys[0] == keys[1]:
        keys = [before, after]
    first, last = _common(*keys)
    middle = [key[first : len(key) - last] for key in keys]
    if max(map(len, middle)) > MAX_WORDS:
        blocks = [(0, 0, 0)]
    else:
        matcher = SequenceMatcher(a=middle[0], b=middle[1])
        blocks = [(block.a, block.b, block.size) for block in matcher.get_matching_blocks()]
    same = [(0, 0, first), *((a + first, b + first, size) for a, b, size in blocks)]
    same.append((len(before) - last, len(after) - last, last))
    return (
        tuple(_pieces(before, [(a, size) for a, _, size in same])),
        tuple(_pieces(after, [(b, size) for _, b, size in same])),
    )


def _common(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many words both begin with, and of the rest how many both end with."""
    shorter = min(len(old), len(new))
    first = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    rest = shorter - first
    last = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    return first, last


def _pieces(words: list[str], same: list[tuple[int, int]]) -> Iterator[Piece]:
    done = 0
    text, is_other = "", False
    for start, size in same:
        for part, flag in ((words[done:start], True), (words[start : start + size], False)):
            if not part:
                continue
            if flag != is_other and text:
                yield Piece(text, is_other)
                text = ""
            text, is_other = text + "".join(part), flag
        done = max(done, start + size)
    if text:
        yield Piece(text, is_other)
