"""One text for one value: what digests are taken of, and what the store keeps as JSON."""

from __future__ import annotations

import json
from typing import Any


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
    return writable(value) if "\\ud" in text.lower() else value


def canonical_json(value: Any) -> str:
    """One text for one JSON value: sorted keys, no blanks, Unicode as it is."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return well_formed(text)
