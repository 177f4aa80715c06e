"""Text as duplicates are judged by it: one form for what a reader would call the same text.

Owns the normalisation behind exact duplicates, and digests of text. Knows nothing of calls,
suites or the store. Source: Unicode Standard Annex 15 (NFKC), Unicode 3.13 (case folding).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from tasks.model.canonical import canonical_json, well_formed


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


def text_digest(text: str) -> str:
    return hashlib.sha256(well_formed(text).encode()).hexdigest()
