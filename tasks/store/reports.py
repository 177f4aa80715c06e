"""Queries on calls that were reported twice, by a gateway and by a span, or by a span and an event.

Finds the pairs in `landing` and puts the one row in their place; which pairs are one call, and
what the one row says, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from expectations.contracts import LANDING, MERGED_REPORTS
from tasks.store.connection import Store

Row = dict[str, Any]
Pair = tuple[int, int]

#: under which a span or a gateway may name the call of the other
_SHARED_IDS = (
    "request_id",
    "tags->>'$.response_id'",
    "tags->>'$.\"gen_ai.response.id\"'",
    "tags->>'$.\"x-request-id\"'",
    "tags->>'$.\"guid:x-request-id\"'",
    "tags->>'$.\"http.request.header.x-request-id\"'",
)


@dataclass(frozen=True, slots=True)
class Merge:
    """`row` takes the place of the `pair`; `kept` gave it its id, `other` goes into it."""

    pair: Pair
    row: Row
    kept: Row
    other: Row


def pairs_by_id(store: Store, run_id: str) -> list[Pair]:
    """Row ids of exactly two calls of the run with one request id."""
    return store.rows(
        "SELECT min(rowid), max(rowid) FROM landing WHERE run_id = ? "
        "GROUP BY request_id HAVING count(*) = 2 ORDER BY 1",
        [run_id],
    )


def pairs_by_shared_id(store: Store, run_id: str) -> list[Pair]:
    """Row ids of exactly two calls of two formats that share an id; each row in one pair only."""
    found = store.rows(
        "SELECT DISTINCT min(place), max(place) FROM ("
        "  SELECT DISTINCT rowid AS place, format, "
        f"    unnest([{', '.join(_SHARED_IDS)}]) AS id FROM landing WHERE run_id = ?"
        ") WHERE id IS NOT NULL GROUP BY id "
        "HAVING count(*) = 2 AND count(DISTINCT format) = 2 ORDER BY 1, 2",
        [run_id],
    )
    taken: set[int] = set()
    pairs: list[Pair] = []
    for first, second in found:
        if first not in taken and second not in taken:
            pairs.append((first, second))
            taken.update((first, second))
    return pairs


def fetch(store: Store, row_ids: Sequence[int]) -> dict[int, Row]:
    names = LANDING.column_names
    columns = ", ".join(f'"{name}"' for name in names)
    rows = store.rows(
        f"SELECT rowid, {columns} FROM landing WHERE rowid IN (SELECT unnest(?::BIGINT[]))",
        [list(row_ids)],
    )
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def merge(store: Store, merges: Sequence[Merge], run_id: str) -> None:
    """Rows, feedback and the counts of the readings, so that they add up as before."""
    if not merges:
        return
    store.execute(
        "DELETE FROM landing WHERE rowid IN (SELECT unnest(?::BIGINT[]))",
        [[number for each in merges for number in each.pair]],
    )
    store.insert(LANDING, [each.row for each in merges])
    gone = [
        {
            "request_id": each.other["request_id"],
            "content_digest": each.other["content_digest"],
            "merged_into": each.kept["request_id"],
            "run_id": run_id,
        }
        for each in merges
    ]
    store.insert(MERGED_REPORTS, gone, ignore_existing=True)
    store.execute(
        "UPDATE feedback SET request_id = m.merged_into FROM merged_reports m "
        "WHERE feedback.request_id = m.request_id AND m.run_id = ? "
        "AND m.request_id <> m.merged_into",
        [run_id],
    )
    _count_again(store, merges, run_id)


def _count_again(store: Store, merges: Sequence[Merge], run_id: str) -> None:
    """The second report counts as a duplicate, and its tokens once."""
    changes: dict[str, list[int]] = {}
    for each in merges:
        of_other = changes.setdefault(_path(each.other), [0, 0, 0])
        of_kept = changes.setdefault(_path(each.kept), [0, 0, 0])
        of_other[0] += 1
        for place, name in enumerate(("input_tokens", "output_tokens"), start=1):
            of_other[place] -= each.other[name] or 0
            of_kept[place] += (each.row[name] or 0) - (each.kept[name] or 0)
    for path, (num_merged, inputs, outputs) in changes.items():
        store.execute(
            "UPDATE sources SET rows_out = rows_out - ?, duplicates = duplicates + ?, "
            "input_tokens = input_tokens + ?, output_tokens = output_tokens + ? "
            "WHERE run_id = ? AND path = ? AND rowid = ("
            "  SELECT max(rowid) FROM sources WHERE run_id = ? AND path = ?)",
            [num_merged, num_merged, inputs, outputs, *[run_id, path] * 2],
        )


def _path(row: Row) -> str:
    path: str = row["sources"][0].rpartition(":")[0]
    return path
