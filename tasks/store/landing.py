"""Queries on `landing`: calls that came in, before validation and redaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from expectations.contracts import LANDING, REQUESTS
from tasks.store.connection import Store

#: (request id, content digest): what makes a call the same call
Key = tuple[str, str]


def known_calls(store: Store, keys: Sequence[Key]) -> set[int]:
    """Positions of the keys that are in landing, requests, merged or held in quarantine already."""
    if not keys:
        return set()
    arrays = [
        pa.array(range(len(keys)), type=pa.int64()),
        pa.array([key[0] for key in keys], type=pa.string()),
        pa.array([key[1] for key in keys], type=pa.string()),
    ]
    names = ["position", "request_id", "content_digest"]
    store.connection.register("incoming_keys", pa.table(arrays, names=names))
    try:
        found = store.rows(
            "SELECT position FROM incoming_keys JOIN landing USING (request_id, content_digest) "
            "UNION "
            "SELECT position FROM incoming_keys JOIN requests USING (request_id, content_digest) "
            "UNION "
            "SELECT position FROM incoming_keys JOIN merged_reports "
            "USING (request_id, content_digest)"
        )
        # the digest of a quarantined call is inside its JSON: read only where the id is known
        held = store.rows(
            "SELECT i.position, i.content_digest = q.\"row\"->>'content_digest' "
            "FROM quarantine q JOIN incoming_keys i ON q.request_id = i.request_id "
            "WHERE q.state = 'held'"
        )
    finally:
        store.connection.unregister("incoming_keys")
    return {position for (position,) in found} | {position for position, same in held if same}


def add_calls(store: Store, rows: Sequence[dict[str, Any]]) -> None:
    store.insert(LANDING, rows)


def add_sources(store: Store, seen: Sequence[tuple[Key, str]]) -> None:
    """Calls met again: note where, with the call that was kept (in landing or requests)."""
    if not seen:
        return
    table = pa.table(
        {
            "request_id": [key[0] for key, _ in seen],
            "content_digest": [key[1] for key, _ in seen],
            "source": [source for _, source in seen],
        }
    )
    store.connection.register("incoming_sources", table)
    try:
        for name in (LANDING.name, REQUESTS.name):
            store.execute(
                f'UPDATE "{name}" AS kept SET sources = list_concat(kept.sources, '
                "list_filter(again.sources, lambda s: NOT list_contains(kept.sources, s))) "
                "FROM (SELECT request_id, content_digest, list(DISTINCT source) AS sources "
                "      FROM incoming_sources GROUP BY ALL) AS again "
                "WHERE kept.request_id = again.request_id "
                "AND kept.content_digest = again.content_digest"
            )
    finally:
        store.connection.unregister("incoming_sources")


def count_conflicts(store: Store, run_id: str) -> int:
    """Calls of this run whose id another call has too, with other content."""
    count: int = store.scalar(
        "SELECT count(*) FROM landing l WHERE l.run_id = ? AND EXISTS ("
        "  SELECT 1 FROM (SELECT request_id, content_digest FROM landing UNION ALL "
        "                 SELECT request_id, content_digest FROM requests) o "
        "  WHERE o.request_id = l.request_id AND o.content_digest <> l.content_digest)",
        [run_id],
    )
    return count


def count_calls(store: Store) -> int:
    count: int = store.scalar("SELECT count(*) FROM landing")
    return count


def batches(store: Store, num_rows: int) -> Iterator[pa.Table]:
    """All of landing in tables of about `num_rows`; other statements may run in between."""
    first, last = store.rows("SELECT min(rowid), max(rowid) FROM landing")[0]
    if first is None:
        return
    for start in range(first, last + 1, num_rows):
        table = store.arrow(
            "SELECT * FROM landing WHERE rowid >= ? AND rowid < ? ORDER BY rowid",
            [start, start + num_rows],
        )
        if table.num_rows:
            yield table


def ids_taken(store: Store) -> list[str]:
    """Ids that landing holds more than once, or that requests holds already; at most ten."""
    return [
        request_id
        for (request_id,) in store.rows(
            "SELECT request_id FROM (SELECT request_id FROM landing UNION ALL "
            "SELECT request_id FROM requests WHERE request_id IN (SELECT request_id FROM landing)) "
            "GROUP BY request_id HAVING count(*) > 1 ORDER BY 1 LIMIT 10"
        )
    ]


def admit(store: Store, rows: pa.Table) -> None:
    """Insert redacted rows into requests."""
    columns = ", ".join(f'"{name}"' for name in REQUESTS.column_names)
    store.connection.register("admitted_rows", rows)
    try:
        store.execute(f"INSERT INTO requests ({columns}) SELECT {columns} FROM admitted_rows")
    finally:
        store.connection.unregister("admitted_rows")


def clear(store: Store) -> None:
    store.execute("DELETE FROM landing")
