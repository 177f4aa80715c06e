"""Which of many JSON texts may have something to mask, and of what group: one pass of RE2 a group.

Most calls have nothing in them. `groups_of` looks at all texts of a column at once, a hundred times
as fast as one text after the other; it may name a group that is not found then, never the reverse.
The expressions are of JSON text: a quote in a value is `\\"` there, a line break `\\n`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.privacy.finder import Finder
from tasks.privacy.spellings import odd_spelling

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "GROUPED_DIGITS", "LONG_RUN", "NAMED", "ODD", "SEVEN_DIGITS", "TWELVE_DIGITS", "Groups",
    "Sieve",
]  # fmt: skip

#: groups of finders that may find something; None: any, whatever it looks like
Groups = frozenset[str] | None

#: no group of finders: something is spelled otherwise, and may be anything when it is plain
ODD = "odd"

#: a group that is only where another, which comes before it in the table, is
_ONLY_WHERE = {"public": "run"}

#: between two digits of a number, a line break included
_GAP = r"(?:[^0-9A-Za-z\\]|\\+[nrt]|\\+u00[0-9a-f]{2}){0,4}"
SEVEN_DIGITS, TWELVE_DIGITS = (rf"[0-9](?:{_GAP}[0-9]){{{count - 1}}}" for count in (7, 12))
#: two groups of a number with anything but one blank or hyphen between them
GROUPED_DIGITS = (
    r"[0-9]{4}(?:[^0-9A-Za-z\\ -]|\\+[nrt]|\\+u00[0-9a-f]{2}|[^0-9A-Za-z\\]{2})"
    r"(?:[^0-9A-Za-z\\]|\\+[nrt]|\\+u00[0-9a-f]{2}){0,2}[0-9]{4}"
)
_BETWEEN = r"(?:[^A-Za-z0-9=:>]|\\+[nrt]){0,8}"
#: a name under which something confidential may stand, and what follows a name
NAMED = (
    r"(?i:(?:pass(?:word|wd|phrase|code)?|pwd|pw|psw|secrets?|keys?|token|authorization|"
    r"cred(?:ential)?s?|str(?:ing)?s?|auth|bearer|jwt|sig(?:nature)?|cookies?)"
    rf"(?:{_BETWEEN}[=:>]|(?:[^A-Za-z0-9\"'`]|\\+[nrt]){{0,8}}[\"'`]\s*[,\]}}])"
    r"|(?:phone|mobile|cell|fax|tel|whatsapp|msisdn)_?(?:number|num|no|nr)?\\*\")"
)
_RUN = "[A-Za-z0-9_+/=.~-]"
_NUM_RUN = 14
#: a run with a digit beside a letter
LONG_RUN = "|".join(
    f"{_RUN}{{{place}}}(?:[0-9][A-Za-z]|[A-Za-z][0-9]){_RUN}{{{_NUM_RUN - place - 2}}}"
    for place in range(_NUM_RUN - 1)
)


class Sieve:
    """Of the finders of one redactor."""

    def __init__(self, finders: Sequence[Finder]) -> None:
        expressions: dict[str, list[str]] = {}
        for finder in finders:
            expressions.setdefault(finder.group, []).append(_expression(finder))
        self._expressions: Mapping[str, str] = {
            group: "|".join(dict.fromkeys(of)) for group, of in expressions.items()
        } | {ODD: odd_spelling()}

    def groups_of(self, texts: pa.Array) -> list[Groups]:
        """Of each text the groups that may be in it; of NULL none."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        bits = np.zeros(len(texts), dtype=np.int64)
        names = list(self._expressions)
        for place, (name, expression) in enumerate(self._expressions.items()):
            where, some = None, texts
            if first := _ONLY_WHERE.get(name):
                where = np.flatnonzero(bits >> names.index(first) & 1)
                some = texts.take(pa.array(where))
            found = pc.fill_null(pc.match_substring_regex(some, expression), False)
            bits[where if where is not None else slice(None)] |= (
                found.to_numpy(zero_copy_only=False).astype(np.int64) << place
            )
        sets: dict[int, Groups] = {
            value: frozenset(
                name for place, name in enumerate(self._expressions) if value >> place & 1
            )
            for value in np.unique(bits).tolist()
        }
        return [sets[value] for value in bits.tolist()]


def _expression(finder: Finder) -> str:
    if finder.sieve:
        return finder.sieve
    hints = "|".join(map(re.escape, finder.hints))
    assert hints, f"a finder of {finder.kind} has neither hints nor a sieve"
    return f"(?i:{hints})" if finder.any_case else hints
