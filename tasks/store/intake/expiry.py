"""Calls that were kept long enough leave, with what was said of them.

One that a sample was made of stays: verdicts stand on it.
"""

from __future__ import annotations

from datetime import datetime

from tasks.store.db.connection import Store

_EXPIRED = (
    "ingested_at < ? AND request_id NOT IN "
    "(SELECT request_id FROM samples WHERE request_id IS NOT NULL)"
)
_IDS = f"(SELECT request_id FROM requests WHERE {_EXPIRED})"
_REPORTS = f"(SELECT request_id FROM merged_reports WHERE merged_into IN {_IDS})"


def count_expired(store: Store, before: datetime) -> int:
    """Calls that came in before then (UTC without a zone), of which no sample was made."""
    return int(store.scalar(f"SELECT count(*) FROM requests WHERE {_EXPIRED}", [before]))


def drop_expired(store: Store, before: datetime) -> int:
    """Take them out; returns how many. Call it inside a transaction.

    What comes in of them again is new, for nothing is left to know it by but its log file.
    """
    found = count_expired(store, before)
    if found:
        store.execute(
            f"DELETE FROM feedback WHERE request_id IN {_IDS} OR request_id IN {_REPORTS}",
            [before, before],
        )
        for table, id_ in (("merged_reports", "merged_into"), ("met_again", "request_id")):
            store.execute(f"DELETE FROM {table} WHERE {id_} IN {_IDS}", [before])
        store.execute(f"DELETE FROM requests WHERE {_EXPIRED}", [before])
    return found
