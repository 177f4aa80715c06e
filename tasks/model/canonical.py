"""One text for one value: what digests are taken of, and what the store keeps as JSON."""

from __future__ import annotations

import json
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from typing import Any

#: what json.dumps would make anew for every value, which takes longer than most values do; no
#: markers: a value that comes from JSON is in no circle
_encode = c_make_encoder(
    None, json.JSONEncoder().default, encode_basestring, None, ":", ",", True, False, True
)


def well_formed(text: str) -> str:
    """The text without lone surrogates (JSON escapes can make them; UTF-8 cannot hold them)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def writable(value: Any) -> Any:
    """A JSON value with every text in it well formed."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [writable(item) for item in value]
    if isinstance(value, dict):
        return {writable(key): writable(item) for key, item in value.items()}
    return value


def parsed(text: str) -> Any:
    """The value of a JSON text of the store, with every text in it well formed.

    Such a text is UTF-8, so a lone surrogate can only be an escape in it; few have any.
    """
    value = json.loads(text)
    return writable(value) if "\\" in text and "\\ud" in text.lower() else value


def parsed_text(value: Any) -> Any:
    """The value of a text that is a JSON object or list, as traces keep them; else what it is."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return writable(json.loads(value))
        except (ValueError, RecursionError):
            return value
    return value


def canonical_json(value: Any) -> str:
    """One text for one JSON value: sorted keys, no blanks, Unicode as it is."""
    return well_formed("".join(_encode(value, 0)))
