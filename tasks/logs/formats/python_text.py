"""Values as Python prints them inside a line of text → JSON values. Never evaluated as code.

Texts are read by `ast.literal_eval`, one at a time; the structure around them goes through our own
JSON parser, which bounds its depth. A dataclass, `Name(key=value, …)`, is an object.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from tasks.logs.shapes.json_text import dump, parse
from tasks.logs.shapes.records import Json, UnreadableError

_MAX_DEPTH = 50
#: of one line; a longer one is refused
MAX_CHARS = 16 * 2**20
#: an open text runs to the end of the line, so that no quote is tried twice
_TEXT = r"'[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\\?\Z)|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+(?:\"|\\?\Z)"
_STRING = re.compile(_TEXT, re.DOTALL)
_TOKEN = re.compile(
    rf"(?P<text>{_TEXT})(?P<cut> \.\.\. (?:{_TEXT}))?"
    r"|(?P<ids>\[[-0-9, ]*+\])(?: \.\.\. \[[-0-9, ]*+\])?"
    r"|(?P<key>\b[A-Za-z_]\w{0,99}+)(?==(?!=))="
    r"|(?P<open>(?:\b[A-Za-z_][\w.]{0,199}+)?\()"
    r"|(?P<close>,?\s?\))"
    r"|(?P<word>\b(?:True|False|None|nan|inf)\b)",
    re.DOTALL,
)
_WORDS = {"True": "true", "False": "false"}
#: a list of token ids that is longer tells its length only
_MAX_IDS = 64


@dataclass(frozen=True, slots=True)
class Text:
    """`value` None: no text stands there. `end`: behind it."""

    value: str | None
    end: int


def text_at(line: str, start: int) -> Text:
    """The text whose repr begins there."""
    found = _STRING.match(line, start)
    if found is None or len(found[0]) > MAX_CHARS:
        return Text(None, start)
    return Text(_text(found[0]), found.end())


def value_of(printed: str) -> Json:
    """Raises UnreadableError. A text that the writer cut in its middle is None; a long list of
    numbers is {"num": its length}."""
    if len(printed) > MAX_CHARS:
        raise UnreadableError(f"a value of {len(printed)} characters; at most {MAX_CHARS} are read")
    closing: list[str] = []

    def json_of(token: re.Match[str]) -> str:
        kind, said = token.lastgroup, token[0]
        if token["text"] is not None:
            return "null" if token["cut"] else dump(_text(token["text"]))
        if kind == "ids":
            number = said.count(",") + 1
            return said if number <= _MAX_IDS and "..." not in said else f'{{"num":{number}}}'
        if kind == "key":
            return f"{dump(token['key'])}:"
        if kind == "open":
            closing.append("]" if said == "(" else "}")
            return "[" if said == "(" else "{"
        if kind == "close":
            return closing.pop() if closing else ")"
        return _WORDS.get(said, "null")

    return parse(_TOKEN.sub(json_of, printed).encode(), _MAX_DEPTH)


def _text(printed: str) -> str | None:
    """None: it is broken, or goes on beyond the line."""
    try:
        value = ast.literal_eval(printed)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    # a lone surrogate is no character
    return str(value).encode("utf-8", "replace").decode()
