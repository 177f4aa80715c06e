"""JSON in a text that may be hostile: bounded in depth, in tries and in the size of its numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_MAX_STARTS = 50
_MAX_DEPTH = 100
_FENCE = re.compile(r"\A```[\w-]*\n(.*)\n?```\Z", re.DOTALL)


class UnreadableJsonError(ValueError):
    """Why a text is no JSON, for people."""


def parse(text: str) -> Any:
    """By RFC 8259: no NaN. Raises UnreadableJsonError, deeper than 100 levels too."""
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_whole)
    except RecursionError:
        raise UnreadableJsonError("it is too deep") from None
    except ValueError as error:
        raise UnreadableJsonError(str(error)) from None
    if is_deep(value):
        raise UnreadableJsonError(f"it is deeper than {_MAX_DEPTH} levels")
    return value


def unfenced(text: str) -> str:
    """The text without white space and without a Markdown fence around the whole of it."""
    stripped = text.strip()
    fenced = _FENCE.match(stripped)
    return fenced.group(1).strip() if fenced else stripped


def values(text: str, opening: str = "{") -> Iterator[Any]:
    """Values in the text that begin with `opening`, left to right, none inside another; the first
    50 places are tried."""
    decoder = json.JSONDecoder()
    start = text.find(opening)
    for _ in range(_MAX_STARTS):
        if start < 0:
            return
        after = start + 1
        try:
            value, after = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            if not is_deep(value):
                yield value
        start = text.find(opening, after)


def is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        if not level:
            return False
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return True


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _whole(digits: str) -> int | float:
    """Python refuses whole numbers of more than 4,300 digits; JSON does not."""
    return int(digits) if len(digits) <= 4000 else float(digits)
