"""What was erased does not come in again: keyed hashes of its ids, and whether a row is one of it.

HMAC-SHA256 by the key of the pseudonyms: without the key nobody can test a guess, and nothing of a
text is kept. Where nothing was ever erased, nothing is hashed. Who loses the key loses the list.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from expectations.contracts import FORGOTTEN
from tasks.store.control.pseudonym_key import pseudonym_key
from tasks.store.db.connection import Store

#: what a mark is of: request id, digest of the content, feedback id, bytes of a line, user hash
Kind = Literal["call", "content", "feedback", "line", "user"]


@dataclass(frozen=True, slots=True)
class Mark:
    """`until`: of a user, what began later is new."""

    digest: str
    until: datetime | None = None


def keyed(key: bytes, kind: Kind, told: str | bytes) -> str:
    data = told if isinstance(told, bytes) else told.encode("utf-8", "surrogatepass")
    return hmac.digest(key, kind.encode() + b":" + data, "sha256").hex()


class Forgotten:
    """What was erased of one state folder, for the length of one reading of logs."""

    def __init__(self, key: bytes, marks: Mapping[str, datetime | None]) -> None:
        self._key = key
        self._marks = marks
        #: ids of calls that were passed over: their feedback is too
        self._passed: set[str] = set()

    def without_calls(self, calls: pa.Table) -> pa.Table:
        """Those that were not erased."""
        if not self._marks or not calls.num_rows:
            return calls
        names = ("request_id", "content_digest", "user_hash", "started_at")
        columns = [calls[name].to_pylist() for name in names]
        stays = [not self._is_call(*row) for row in zip(*columns, strict=True)]
        return calls if all(stays) else calls.filter(pa.array(stays, type=pa.bool_()))

    def has_signal(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of feedback was erased, or speaks of a call that was."""
        if not self._marks:
            return False
        return (
            row["request_id"] in self._passed
            or self._has("call", row["request_id"])
            or self._has("feedback", row["feedback_id"])
            or self._is_of_user(row["by_hash"], row["given_at"])
        )

    def has_line(self, raw: bytes) -> bool:
        return bool(raw) and self._has("line", raw)

    def _is_call(
        self, request_id: str, content: str, user_hash: str | None, started_at: datetime | None
    ) -> bool:
        is_erased = (
            self._has("call", request_id)
            or self._has("content", content)
            or self._is_of_user(user_hash, started_at)
        )
        if is_erased:
            self._passed.add(request_id)
        return is_erased

    def _is_of_user(self, user_hash: str | None, at: datetime | None) -> bool:
        """What a user did until they were forgotten; of what has no time nobody knows better."""
        if not user_hash or not self._has("user", user_hash):
            return False
        until = self._marks[keyed(self._key, "user", user_hash)]
        return until is None or at is None or at <= until

    def _has(self, kind: Kind, told: str | bytes) -> bool:
        return bool(self._marks) and keyed(self._key, kind, told) in self._marks


NOTHING_FORGOTTEN = Forgotten(b"", {})


def read_forgotten(store: Store, home: Path) -> Forgotten:
    """The list of the state folder `home`. Raises StoreError without the key it was made by."""
    marks = dict(store.rows('SELECT digest, "until" FROM forgotten'))
    return Forgotten(pseudonym_key(home), marks) if marks else NOTHING_FORGOTTEN


def keep_marks(store: Store, marks: Sequence[Mark], erasure_id: str) -> None:
    rows = ({**asdict(mark), "erasure_id": erasure_id} for mark in marks)
    store.insert(FORGOTTEN, rows, existing="replace")


def erased_by(store: Store, digest: str) -> str | None:
    """The last erasure that this is a mark of."""
    erasure_id: str | None = store.scalar(
        "SELECT erasure_id FROM forgotten WHERE digest = ?", [digest]
    )
    return erasure_id


def is_committed(store: Store, erasure_id: str) -> bool:
    """Whether the store is rid of what an erasure was of."""
    return bool(
        store.scalar("SELECT count(*) > 0 FROM forgotten WHERE erasure_id = ?", [erasure_id])
    )
