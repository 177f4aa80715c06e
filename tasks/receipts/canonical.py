"""The bytes of a receipt: RFC 8785 (JSON Canonicalization Scheme), and JSON that is read strictly.

One value has one text, so that a signature over the text is one over the value. What is read has to
be that text again, byte by byte. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import rfc8785

from tasks.model.canonical import writable

#: beyond it a number of JSON is not exact
_MOST = 2**53 - 1
_MOST_DIGITS = 17


class NotCanonicalError(ValueError):
    """Says why a text is none of ours."""


def exact(value: Any) -> Any:
    """A JSON value that RFC 8785 can write: whole numbers too large for it become texts."""
    if isinstance(value, bool) or not isinstance(value, int | Mapping | list | tuple):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MOST else str(value)
    if isinstance(value, Mapping):
        return {str(key): exact(item) for key, item in value.items()}
    return [exact(item) for item in value]


def canonical_bytes(value: Any) -> bytes:
    return rfc8785.dumps(writable(exact(value)))


def read_canonical(text: bytes) -> Any:
    """The value of a text that `canonical_bytes` wrote. Raises NotCanonicalError."""
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_each_once,
            parse_constant=_refused,
            parse_int=_number,
        )
        again = rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise NotCanonicalError(f"it is no JSON that can be read: {error}") from None
    if again != text:
        place = next(
            (n for n, (a, b) in enumerate(zip(again, text, strict=False)) if a != b),
            min(len(again), len(text)),
        )
        raise NotCanonicalError(f"byte {place:,} is not as RFC 8785 writes it")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotCanonicalError(f"the key {twice!r} is there twice")
    return value


def _number(text: str) -> int | float:
    """Digits that are too many for a whole number are how RFC 8785 writes a large double."""
    whole = int(text) if len(text) <= _MOST_DIGITS else _MOST + 1
    return whole if abs(whole) <= _MOST else float(text)


def _refused(name: str) -> Any:
    raise NotCanonicalError(f"{name} is no number")
