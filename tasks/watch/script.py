"""The script that a text is written in, as a coarse stand-in for its language. Pure.

Source: the names of the Unicode Character Database, whose first word is the script's.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache

_MAX_CHARS = 200


def script(text: str | None) -> str | None:
    """Of most letters among the first 200 characters: LATIN, CYRILLIC, CJK, …; None: no letter."""
    start = (text or "")[:_MAX_CHARS]
    letters = Counter(_script_of(char) for char in start if char.isalpha())
    return min(letters, key=lambda name: (-letters[name], name)) if letters else None


@cache
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]
