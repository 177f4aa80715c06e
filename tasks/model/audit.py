"""Rows that each hold the hash of the one before, and where such a chain does not hold. Pure.

    hash = sha256(canonical JSON of seq, at, by, action, subject, details and previous_hash)

so that whoever has the rows can take it again: sorted keys, no blanks, UTF-8, `at` as ISO 8601. A
row that was changed, removed, inserted or put elsewhere breaks the chain there. One that was cut
off at the end does not, nor does a chain that was written anew from some row on: against both the
hash of the newest row is kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from tasks.model.canonical import canonical_json


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`details`: canonical JSON, as it is kept. `at`: UTC without a zone."""

    seq: int
    at: datetime
    by: str
    action: str
    subject: str
    details: str
    previous_hash: str
    hash: str = ""

    @property
    def told(self) -> Mapping[str, Any]:
        """The details as values, whatever somebody made of them since."""
        value = json.loads(self.details)
        return value if isinstance(value, dict) else {"": value}

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat(), "details": dict(self.told)}

    def expected_hash(self) -> str:
        value = self.to_json()
        del value["hash"]
        return hashlib.sha256(canonical_json(value).encode()).hexdigest()

    @property
    def is_as_written(self) -> bool:
        try:
            is_canonical = canonical_json(json.loads(self.details)) == self.details
            return is_canonical and self.hash == self.expected_hash()
        except (ValueError, TypeError, RecursionError):  # no object any more
            return False


@dataclass(frozen=True, slots=True)
class ChainFault:
    """The first row that does not hold, and why."""

    seq: int
    why: str


def chained(
    last: AuditRow | None,
    *,
    at: datetime,
    by: str,
    action: str,
    subject: str,
    details: Mapping[str, Any],
) -> AuditRow:
    """The row that follows `last`."""
    row = AuditRow(
        seq=1 if last is None else last.seq + 1,
        at=at,
        by=by,
        action=action,
        subject=subject,
        details=canonical_json(details),
        previous_hash="" if last is None else last.hash,
    )
    return replace(row, hash=row.expected_hash())


def first_fault(rows: Iterable[AuditRow]) -> ChainFault | None:
    """`rows`: all of them, by seq. None: the chain holds."""
    before = ""
    for place, row in enumerate(rows, start=1):
        if row.seq > place:
            return ChainFault(place, "it is missing")
        if row.seq < place:
            return ChainFault(row.seq, "it is there twice")
        if not row.is_as_written:
            return ChainFault(place, "it is not what was written: changed, or put in this place")
        if row.previous_hash != before:
            return ChainFault(
                place,
                "it does not follow the row before it: one was taken out, put in, or written anew",
            )
        before = row.hash
    return None
