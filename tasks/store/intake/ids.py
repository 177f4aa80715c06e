"""Ids of calls as they come in: one with a secret or personal data in it becomes a pseudonym.

Feedback joins calls by their id, on this night and on later ones, and a call met again is known by
it. So an id is masked before anything is stored, with the key of all pseudonyms, and whole: two ids
that differ stay two.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import pyarrow as pa

from tasks.privacy.masking import KINDS, Redactor
from tasks.run import Run
from tasks.store.control.pseudonym_key import pseudonym_key

SafeId = Callable[[str], str]

#: what most logs have: counters, UUIDs, digests, a trace's id and a span's (no card begins with 0),
#: those of the large providers. Of hexadecimal digits one is a letter, and not at the beginning
#: alone, where an account number (IBAN) has its country
_PLAIN = re.compile(
    r"[A-Za-z]{0,12}[-_:]?[0-9]{1,6}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?:content:)?(?=..[0-9]{0,40}[a-f])[0-9a-f]{12,64}"
    r"|(?=..[0-9]{0,29}[a-f])[0-9a-f]{32}:(?=0|..[0-9]{0,13}[a-f])[0-9a-f]{16}"
    r"|(?:chatcmpl|cmpl|resp|msg|req|gen|run|call|trace|span|batch)[-_][A-Za-z0-9]{6,40}"
)


def safe_ids(run: Run) -> SafeId:
    """What makes ids of this state folder safe. Raises StoreError without its key."""
    kinds = tuple(kind for kind in run.settings.redact.kinds if kind in KINDS)
    return _safe_ids(kinds, pseudonym_key(run.settings.home_path))


@lru_cache(maxsize=4)
def _safe_ids(kinds: tuple[str, ...], key: bytes) -> SafeId:
    redactor = Redactor(kinds, key)

    def safe(request_id: str) -> str:
        if _PLAIN.fullmatch(request_id) or not redactor.spans(request_id):
            return request_id
        return redactor.hashed(request_id)

    return safe


def with_safe_ids(calls: pa.Table, safe: SafeId) -> pa.Table:
    """The same calls; most have ids that stay, and are returned as they are."""
    position = calls.schema.get_field_index("request_id")
    ids = calls.column(position).to_pylist()
    masked = [None if request_id is None else safe(request_id) for request_id in ids]
    if masked == ids:
        return calls
    return calls.set_column(position, calls.schema.field(position), pa.array(masked, pa.string()))
