"""Raw bytes that were held long enough go; that they were held, and why, stays.

Deleted rows stay in the free blocks of the file until it is compacted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from expectations.checks import sql_literal
from tasks.store.db.connection import Store
from tasks.store.held.dead_letters import WITHOUT_DATA
from tasks.store.held.quarantine import CALLS, SIGNALS, TOLD, Kind

_LETTERS = "octet_length(raw) > 0 AND created_at < ?"
_ROWS = "NOT json_exists(\"row\", '$.purged') AND created_at < ?"


def count_raw(store: Store, before: datetime) -> tuple[int, int]:
    """Dead letters and quarantined rows from before then whose raw bytes are still held."""
    letters = store.scalar(f"SELECT count(*) FROM dead_letters WHERE {_LETTERS}", [before])
    rows = store.scalar(f"SELECT count(*) FROM quarantine WHERE {_ROWS}", [before])
    return int(letters), int(rows)


def drop_raw(store: Store, before: datetime) -> tuple[int, int]:
    """Take their raw bytes; returns how many of each. Call it inside a transaction.

    A letter waits on, and is read again where its log file is still there; a held row is `purged`.
    """
    found = count_raw(store, before)
    if found[0]:
        store.execute(
            "UPDATE dead_letters SET raw = ''::BLOB, key_id = NULL, "
            f"error = regexp_extract(error, ?) WHERE {_LETTERS}",
            [WITHOUT_DATA, before],
        )
    if found[1]:
        for kind in (CALLS, SIGNALS):
            _drop_rows(store, kind, [before])
    return found


def _drop_rows(store: Store, kind: Kind, parameters: Sequence[Any]) -> None:
    members = ["'purged', true"]
    for name in TOLD:
        if name in kind.home.column_names:
            members.append(f'{sql_literal(name)}, "row"->{sql_literal(f"$.{name}")}')
    store.execute(
        f'UPDATE quarantine SET "row" = json_object({", ".join(members)}), key_id = NULL, '
        "observed = NULL, "
        f"state = if(state = 'held', 'purged', state) WHERE {kind.is_kind} AND {_ROWS}",
        list(parameters),
    )


def other_keys(store: Store) -> int:
    """Rows sealed under a key that is not the one at hand."""
    key_id = "" if store.raw_key is None else store.raw_key.key_id
    return int(
        store.scalar(
            "SELECT count(*) FROM (SELECT key_id FROM dead_letters WHERE state = 'dead' UNION ALL "
            "SELECT key_id FROM quarantine WHERE state = 'held') WHERE key_id <> ?",
            [key_id],
        )
    )
