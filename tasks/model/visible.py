"""Text that comes from data, as it may stand on a terminal, in a page or in a note.

Logs, file names, models and settings can hold what a terminal obeys (ECMA-48: controls C0 and C1,
ESC, DEL), what turns the reading order round (UAX #9), and halves of characters that cannot be
written at all. Errors, tables, progress, pages, notes and plots show it through this one function.
"""

from __future__ import annotations

import re

#: C0 without tab and line end, DEL and C1; bidi marks, embeddings, overrides and isolates; the two
#: separators that some take for line ends; lone surrogates (a file name that is not UTF-8 has them)
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""The text with everything that would be obeyed shown instead: ESC as `\x1b`, RLO as
    `\u202e`. Line ends and tabs stay."""
    return _OBEYED.sub(_spelled, text)


def one_line(text: str) -> str:
    """The same as one line: whatever white space it has counts as one blank."""
    return " ".join(visible(text).split())


def _spelled(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
