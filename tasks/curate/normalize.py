"""Text as duplicates are judged by it: one form for what a reader would call the same text.

Owns the normalisation behind exact duplicates, and digests of text. Knows nothing of calls,
suites or the store. Source: Unicode Standard Annex 15 (NFKC), Unicode 3.13 (case folding).
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any


def well_formed(text: str) -> str:
    """The text without lone surrogates (JSON escapes can make them; UTF-8 cannot hold them)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def normalize(text: str) -> str:
    """NFKC, case folded, every run of white space one blank, none at the ends."""
    folded = unicodedata.normalize("NFKC", well_formed(text)).casefold()
    # folding can leave a text that is not NFKC any more (Unicode 3.13, toNFKC_Casefold)
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def conversation_text(messages: Iterable[Mapping[str, Any]]) -> str:
    """A conversation as one normalised text, one line a message, tool calls included."""
    lines = []
    for message in messages:
        said = message.get("content") or ""
        called = message.get("tool_calls")
        extra = f" {canonical_json(called)}" if called else ""
        lines.append(f"{message.get('role', '')}: {normalize(f'{said}{extra}')}")
    return "\n".join(lines)


def canonical_json(value: Any) -> str:
    """One text for one JSON value: sorted keys, no blanks, Unicode as it is."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return well_formed(text)


def text_digest(text: str) -> str:
    return hashlib.sha256(well_formed(text).encode()).hexdigest()
