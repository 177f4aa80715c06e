"""The audit in the store: appended to, and read. Owns the SQL; what a chain is stands in
tasks/model/audit.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from expectations.contracts import AUDIT
from tasks.model.audit import AuditRow, chained
from tasks.store.db.connection import Store

_COLUMNS = 'seq, "at", "by", action, subject, details, previous_hash, hash'


def append(
    store: Store, *, by: str, action: str, subject: str, details: Mapping[str, Any], now: datetime
) -> AuditRow:
    """Add a row; call it inside the transaction of what it tells of."""
    found = store.one(f"SELECT {_COLUMNS} FROM audit ORDER BY seq DESC LIMIT 1")
    last = None if found is None else AuditRow(*found)
    row = chained(last, at=now, by=by, action=action, subject=subject, details=details)
    store.insert(AUDIT, [asdict(row)])
    return row


def read_audit(store: Store) -> list[AuditRow]:
    """All rows in order."""
    return [AuditRow(*row) for row in store.rows(f"SELECT {_COLUMNS} FROM audit ORDER BY seq")]
