"""Queries on calls that were reported twice, by a gateway and by a span, or by a span and an event.

Finds the pairs and puts one row in their place; which pairs are one call, and what the one row
says, is decided elsewhere. Of each pair one report came with the run; the other may have come
before: then it waits in `landing`, or has been admitted to `requests`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa

from expectations.contracts import CALL_FIELDS, LANDING, MERGED_REPORTS, REQUESTS
from tasks.store.db.connection import Store

Row = dict[str, Any]
Pair = tuple[int, int]

#: tags beyond this are not searched for ids: 2,048 of them are parsed at once, five times
_MAX_TAGS_BYTES = 64 * 2**10
_TAGS = f"CASE WHEN strlen(tags::VARCHAR) <= {_MAX_TAGS_BYTES} THEN tags END"
#: under which a span or a gateway may name the call of the other
_SHARED_IDS = (
    "request_id",
    f"({_TAGS})->>'$.response_id'",
    f"({_TAGS})->>'$.\"gen_ai.response.id\"'",
    f"({_TAGS})->>'$.\"x-request-id\"'",
    f"({_TAGS})->>'$.\"guid:x-request-id\"'",
    f"({_TAGS})->>'$.\"http.request.header.x-request-id\"'",
)
_NUM_CALL_FIELDS = len(CALL_FIELDS)
_IDS = f"[{', '.join(_SHARED_IDS)}]"
#: an admitted call takes these from its second report: what needs no redaction
_PLAIN_TYPES = ("BIGINT", "INTEGER", "DOUBLE", "TIMESTAMP")


@dataclass(frozen=True, slots=True)
class Merge:
    """`row` takes the place of the `pair`; `kept` gave it its id, `other` goes into it."""

    pair: Pair
    row: Row
    kept: Row
    other: Row


@dataclass(frozen=True, slots=True)
class Late:
    """A row of landing and the call in `requests` that shares an id with it."""

    row_id: int
    new: Row
    admitted: Row


def pairs_by_id(store: Store, run_id: str) -> list[Pair]:
    """Row ids in landing of exactly two calls with one request id."""
    return store.rows(
        "SELECT min(rowid), max(rowid) FROM landing "
        "GROUP BY request_id HAVING count(*) = 2 AND bool_or(run_id = ?) ORDER BY 1",
        [run_id],
    )


def pairs_by_shared_id(store: Store, run_id: str) -> list[Pair]:
    """Row ids in landing of exactly two calls of two formats that share an id; each row in one
    pair only."""
    rows = store.rows(
        "SELECT DISTINCT min(place), max(place) FROM ("
        f"  SELECT DISTINCT rowid AS place, format, run_id, unnest({_IDS}) AS id FROM landing"
        ") WHERE id IS NOT NULL GROUP BY id HAVING count(*) = 2 AND count(DISTINCT format) = 2 "
        "AND bool_or(run_id = ?) ORDER BY 1, 2",
        [run_id],
    )
    taken: set[int] = set()
    pairs: list[Pair] = []
    for first, second in rows:
        if first not in taken and second not in taken:
            pairs.append((first, second))
            taken.update((first, second))
    return pairs


def late_reports(store: Store, run_id: str, margin: timedelta) -> list[Late]:
    """Calls of the run in landing that share an id with exactly one admitted call of another
    format, and that one with no other; `margin`: how far apart they may have begun."""
    rows = store.rows(
        f"WITH new AS (SELECT DISTINCT rowid AS place, format, unnest({_IDS}) AS id FROM landing "
        "  WHERE run_id = $1), "
        "span AS (SELECT min(started_at) - $2 AS first, max(started_at) + $2 AS last "
        "  FROM landing WHERE run_id = $1), "
        f"known AS (SELECT DISTINCT request_id, format, unnest({_IDS}) AS id FROM requests, span "
        "  WHERE started_at IS NULL OR started_at BETWEEN first AND last), "
        "pairs AS (SELECT DISTINCT place, request_id FROM new JOIN known USING (id) "
        "  WHERE new.format <> known.format) "
        "SELECT place, request_id FROM pairs "
        "QUALIFY count(*) OVER (PARTITION BY place) = 1 "
        "AND count(*) OVER (PARTITION BY request_id) = 1 ORDER BY 1",
        [run_id, margin],
    )
    new = fetch(store, [place for place, _ in rows])
    admitted = _by_key(store, REQUESTS.name, "request_id", "VARCHAR", [i for _, i in rows])
    return [Late(place, new[place], admitted[request_id]) for place, request_id in rows]


def repeats(store: Store, run_id: str, formats: Sequence[str]) -> list[Late]:
    """Calls of the run in landing, of formats whose ids nobody else gives, that another call has
    the id of: one that was admitted, else the first in landing, which is no repeat itself."""
    rows = store.rows(
        "WITH held AS (SELECT rowid AS place, request_id, run_id FROM landing "
        "  WHERE format IN (SELECT unnest($2))), "
        "first AS (SELECT request_id, min(place) AS place FROM held GROUP BY 1), "
        "known AS (SELECT request_id FROM requests WHERE format IN (SELECT unnest($2))) "
        "SELECT held.place, request_id, CASE WHEN known.request_id IS NULL THEN first.place END "
        "FROM held JOIN first USING (request_id) LEFT JOIN known USING (request_id) "
        "WHERE held.run_id = $1 AND (known.request_id IS NOT NULL OR held.place > first.place) "
        "ORDER BY 1",
        [run_id, list(formats)],
    )
    new = fetch(store, [place for place, *_ in rows])
    first = fetch(store, [place for *_, place in rows if place is not None])
    admitted = _by_key(
        store, REQUESTS.name, "request_id", "VARCHAR", [i for _, i, at in rows if at is None]
    )
    return [
        Late(place, new[place], admitted[request_id] if at is None else first[at])
        for place, request_id, at in rows
    ]


def drop_repeats(store: Store, late: Sequence[Late], run_id: str) -> None:
    """What is told once more adds only where it stands."""
    if not late:
        return
    store.execute(
        "DELETE FROM landing WHERE rowid IN (SELECT unnest(?::BIGINT[]))",
        [[report.row_id for report in late]],
    )
    store.execute(
        "INSERT INTO met_again SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), "
        "unnest(?::VARCHAR[])",
        [
            [report.admitted[name] for report in late for _ in report.new["sources"]]
            for name in ("request_id", "content_digest")
        ]
        + [[place for report in late for place in report.new["sources"]]],
    )
    note_merged(store, [(report.admitted, report.new) for report in late], run_id)
    _count_again(store, [(report.admitted, report.admitted, report.new) for report in late], run_id)


def fetch(store: Store, row_ids: Sequence[int]) -> dict[int, Row]:
    return _by_key(store, LANDING.name, "rowid", "BIGINT", row_ids)


def _by_key(
    store: Store, table: str, key: str, key_type: str, keys: Sequence[Any]
) -> dict[Any, Row]:
    names = LANDING.column_names
    columns = ", ".join(f'"{name}"' for name in names)
    rows = store.rows(
        f"SELECT {key}, {columns} FROM {table} WHERE {key} IN (SELECT unnest(?::{key_type}[]))",
        [list(keys)],
    )
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def merge_pairs(store: Store, merges: Sequence[Merge], run_id: str) -> None:
    """Rows, feedback and the counts of the readings, so that they add up as before."""
    if not merges:
        return
    store.execute(
        "DELETE FROM landing WHERE rowid IN (SELECT unnest(?::BIGINT[]))",
        [[number for merge in merges for number in merge.pair]],
    )
    store.insert(LANDING, [merge.row for merge in merges])
    note_merged(store, [(merge.kept, merge.other) for merge in merges], run_id)
    _count_again(store, [(merge.row, merge.kept, merge.other) for merge in merges], run_id)


def merge_late(store: Store, late: Sequence[Late], run_id: str) -> None:
    """The admitted calls take what they lack and needs no redaction; landing loses the rows."""
    if not late:
        return
    pairs = pa.table({
        "place": pa.array([report.row_id for report in late], type=pa.int64()),
        "kept_id": [report.admitted["request_id"] for report in late],
        "kept_digest": [report.admitted["content_digest"] for report in late],
    })  # fmt: skip
    names = [f'"{c.name}"' for c in LANDING.columns[:_NUM_CALL_FIELDS]
             if c.sql_type in _PLAIN_TYPES]  # fmt: skip
    filled = ", ".join(f"{name} = coalesce(kept.{name}, new.{name})" for name in names)
    with store.lent("late_pairs", pairs):
        joined = "late_pairs JOIN landing new ON new.rowid = late_pairs.place"
        store.execute(
            f"UPDATE requests AS kept SET {filled} FROM (SELECT kept_id, new.* FROM {joined}) new "
            "WHERE kept.request_id = new.kept_id"
        )
        store.execute(
            f"INSERT INTO met_again SELECT kept_id, kept_digest, unnest(new.sources) FROM {joined}"
        )
        store.execute("DELETE FROM landing WHERE rowid IN (SELECT place FROM late_pairs)")
    note_merged(store, [(report.admitted, report.new) for report in late], run_id)
    _count_again(store, [(report.admitted, report.admitted, report.new) for report in late], run_id)


def note_merged(store: Store, pairs: Sequence[tuple[Row, Row]], run_id: str) -> None:
    """(kept, other): the other one is known from now on, and its feedback speaks of the kept."""
    gone = [
        {
            "request_id": other["request_id"],
            "content_digest": other["content_digest"],
            "merged_into": kept["request_id"],
            "run_id": run_id,
        }
        for kept, other in pairs
    ]
    store.insert(MERGED_REPORTS, gone, existing="keep")
    store.execute(
        "UPDATE feedback SET request_id = m.merged_into FROM merged_reports m "
        "WHERE feedback.request_id = m.request_id AND m.run_id = ? "
        "AND m.request_id <> m.merged_into",
        [run_id],
    )


def _count_again(store: Store, merged: Sequence[tuple[Row, Row, Row]], run_id: str) -> None:
    """Of (row, kept, other) the report that came second is a duplicate; its tokens count once."""
    changes: dict[str, list[int]] = {}
    for row, kept, other in merged:
        first, second = kept, other
        if second["run_id"] != run_id:
            first, second = second, first
        of_second = changes.setdefault(_path(second), [0, 0, 0])
        # what the one row says more than the first report counts in this run
        of_row = changes.setdefault(
            _path(first if first["run_id"] == run_id else second), [0, 0, 0]
        )
        of_second[0] += 1
        for place, name in enumerate(("input_tokens", "output_tokens"), start=1):
            of_second[place] -= second[name] or 0
            of_row[place] += (row[name] or 0) - (first[name] or 0)
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
