"""token_f1: overlap of words between answer and target, for free text.

F1 over bags of words as in SQuAD (Rajpurkar et al. 2016), made Unicode-aware: NFKC, case folded, a
word is a run of letters, digits and their marks; scripts written without spaces (Han, kana, Thai,
Lao, Khmer) count character by character. English articles are left out as in SQuAD. Unlike SQuAD
an empty target is unscored, not a match for an empty answer.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

from tasks.scoring.base import Score, shown, unscored, wrong

_ARTICLES = frozenset({"a", "an", "the"})
#: first and last code point of scripts written without spaces
_UNSPACED = (
    ("\u0e00", "\u0eff"), ("\u1780", "\u17ff"), ("\u3040", "\u30ff"), ("\u3400", "\u9fff"),
    ("\U00020000", "\U0003ffff"),
)  # fmt: skip


def token_f1(text: str, target: str) -> Score:
    wanted, given = words(target), words(text)
    if not wanted:
        return unscored("the target has no words")
    answer = text.strip()
    if not given:
        return wrong(answer, "the answer has no words")
    shared = sum((Counter(wanted) & Counter(given)).values())
    if not shared:
        return wrong(answer, f"{shown(text)} shares no word with the target")
    precision, recall = shared / len(given), shared / len(wanted)
    value = 2 * precision * recall / (precision + recall)
    note = f"{shared} shared words of {len(given)} in the answer and {len(wanted)} in the target"
    return Score(min(value, 1.0), answer, note)


def words(text: str) -> list[str]:
    """The words of a text in order; a text of articles alone keeps them."""
    found: list[list[str]] = []
    is_open = False  # whether the last word may still grow
    for char in unicodedata.normalize("NFKC", text).casefold():
        kind = unicodedata.category(char)[0]
        if kind == "M" and found:
            found[-1].append(char)
        elif kind not in "LN":
            is_open = False
        elif any(first <= char <= last for first, last in _UNSPACED):
            found.append([char])
            is_open = False
        elif is_open:
            found[-1].append(char)
        else:
            found.append([char])
            is_open = True
    every = ["".join(letters) for letters in found]
    return [word for word in every if word not in _ARTICLES] or every
