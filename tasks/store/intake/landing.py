"""Queries on `landing`: calls that came in, before validation and redaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute

from expectations.contracts import LANDING, REQUESTS, TableContract
from tasks.store.db.connection import Store

#: what makes a call the same call
_KEY = "request_id, content_digest"
#: at a time
_MAX_MOVED_ROWS = 2_000
#: no row id is larger
_LAST_ROW = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Totals:
    num_rows: int
    input_tokens: int
    output_tokens: int


def last_row(store: Store) -> int:
    """The largest row id; whatever the open transaction inserts from now on lies beyond it."""
    return int(store.scalar("SELECT coalesce(max(rowid), -1) FROM landing"))


def add_calls(store: Store, batches: Iterable[pa.Table]) -> None:
    """Insert calls as they come. Raises what the batches raise, which must not touch the store."""
    _stream(store, LANDING, batches)


def _stream(store: Store, contract: TableContract, tables: Iterable[pa.Table]) -> None:
    """In one statement, whose rows are written out compressed as they come."""
    failures: list[BaseException] = []

    def told() -> Iterator[pa.Table]:
        try:
            yield from tables
        except BaseException as error:
            failures.append(error)  # DuckDB would make a text of it

    batches = told()
    first = next(batches, None)
    if first is not None:
        records = (
            part for table in itertools.chain([first], batches) for part in table.to_batches()
        )
        store.insert_table(contract, pa.RecordBatchReader.from_batches(first.schema, records))
    if failures:
        raise failures[0]


def add_new_calls(store: Store, calls: pa.Table) -> np.ndarray:
    """Insert those calls that the store does not have; [num_calls] bool: which they were.

    Of equal ones among them the first is new.
    """
    first: dict[tuple[str, str], int] = {}
    keys = (calls[name].to_pylist() for name in ("request_id", "content_digest"))
    for position, key in enumerate(zip(*keys, strict=True)):
        first.setdefault(key, position)
    is_new = np.zeros(calls.num_rows, dtype=np.bool_)
    is_new[list(first.values())] = True
    numbers = pa.array(range(calls.num_rows), type=pa.int64())
    incoming = calls.select(["request_id", "content_digest", "started_at", "tags"])
    with store.lent("incoming_calls", incoming.append_column("position", numbers)):
        is_new[_known_rows(store, "incoming_calls", "position", _LAST_ROW, -1)] = False
    mask = pa.array(is_new)
    if not is_new.all():
        _remember_sources(store, calls.filter(pa.compute.invert(mask)))
    if is_new.any():
        store.insert_table(LANDING, calls.filter(mask))
    return is_new


def take_back_known(store: Store, boundary: int) -> int:
    """Take out of landing what came in beyond `boundary` and was known already; how many."""
    known = _known_rows(store, LANDING.name, "rowid", boundary, boundary)
    if not known:
        return 0
    rows = pa.table({"row_id": pa.array(known, type=pa.int64())})
    with store.lent("known_rows", rows):
        where = "rowid IN (SELECT row_id FROM known_rows)"
        _remember_sources(store, store.arrow(f"SELECT {_KEY}, sources FROM landing WHERE {where}"))
        store.execute(f"DELETE FROM landing WHERE {where}")
    return len(known)


def _known_rows(store: Store, table: str, number: str, until: int, beyond: int) -> list[int]:
    """Numbers beyond `beyond` of calls in a table that were there before: in landing as far as row
    `until`, in requests, or in quarantine.

    A call with a time of its own is the same call only where that is the same, so of what is stored
    no more is looked at than the times of the new ones span: a file costs the same whatever there
    is. The time of an envelope (tasks/logs/shapes/rows.py) is none of the call's own.
    """
    is_new = f"new.{number} > $1"
    is_logged = "contains(coalesce(new.tags::VARCHAR, ''), '\"logged_at\"')"
    timed = f"(new.started_at IS NOT NULL AND NOT {is_logged})"
    first, last, num_others = store.rows(
        f"SELECT min(new.started_at) FILTER ({timed}), max(new.started_at) FILTER ({timed}), "
        f"count(*) FILTER (NOT {timed}) FROM {table} new WHERE {is_new}",
        [beyond],
    )[0]
    rows = store.rows(
        f"SELECT new.{number} FROM {table} new JOIN merged_reports USING ({_KEY}) WHERE {is_new}",
        [beyond],
    )
    for condition, spans in ((timed, [first, last]), (f"NOT {timed}", [])):
        if first is None if spans else not num_others:
            continue
        within = "started_at BETWEEN $3 AND $4" if spans else "true"
        rows += store.rows(
            f"SELECT new.{number} FROM {table} new JOIN ("
            f"SELECT {_KEY} FROM landing WHERE rowid <= $2 AND {within} UNION ALL "
            f"SELECT {_KEY} FROM requests WHERE {within}) USING ({_KEY}) "
            f"WHERE {is_new} AND {condition}",
            [beyond, until, *spans],
        )
    # the digest of a quarantined call is inside its JSON: read only where the id is known
    held = store.rows(
        f"SELECT new.{number}, new.content_digest = q.\"row\"->>'content_digest' "
        f"FROM quarantine q JOIN {table} new ON q.request_id = new.request_id "
        f"WHERE q.state = 'held' AND {is_new}",
        [beyond],
    )
    return sorted({row for (row,) in rows} | {row for row, same in held if same})


def ids_from(store: Store, path: str, lines: Sequence[tuple[int, int]] | None) -> set[str]:
    """Ids of the calls that came from these lines of a log file, from the first to the last of each
    pair; None: from anywhere in it."""
    line = "try_cast(substr(place, length($1) + 1) AS BIGINT)"
    within = f"EXISTS (FROM wanted WHERE {line} BETWEEN first AND last)"
    condition = f"starts_with(place, $1) AND ($2::BIGINT[] IS NULL OR {within})"
    held = "CAST(\"row\"->'sources' AS VARCHAR[])"
    rows = store.rows(
        "WITH wanted AS (SELECT unnest($2::BIGINT[]) AS first, unnest($3::BIGINT[]) AS last), "
        "calls AS (SELECT request_id, sources FROM landing UNION ALL "
        "               SELECT request_id, sources FROM requests), "
        "places AS (SELECT request_id, unnest(sources) AS place FROM calls UNION ALL "
        f"          SELECT request_id, unnest({held}) FROM quarantine UNION ALL "
        "           SELECT second.request_id, unnest(sources) FROM merged_reports second "
        "           JOIN calls ON calls.request_id = second.merged_into) "
        f"SELECT DISTINCT request_id FROM places WHERE {condition}",
        [f"{path}:", *([None, None] if lines is None else map(list, zip(*lines, strict=True)))],
    )
    return {request_id for (request_id,) in rows}


def count_from(store: Store, boundary: int) -> Totals:
    """Calls beyond `boundary` and their tokens, exact whatever a log claims."""
    row = store.one(
        "SELECT count(*), coalesce(sum(input_tokens::HUGEINT), 0), "
        "coalesce(sum(output_tokens::HUGEINT), 0) FROM landing WHERE rowid > ?",
        [boundary],
    )
    assert row is not None
    return Totals(*map(int, row))


def _remember_sources(store: Store, calls: pa.Table) -> None:
    """Calls met again: where, until `note_sources`."""
    with store.lent("again", calls.select(["request_id", "content_digest", "sources"])):
        store.execute(f"INSERT INTO met_again SELECT {_KEY}, unnest(sources) FROM again")


def note_sources(store: Store) -> None:
    """With every call that was met again (in landing or requests), note where.

    DuckDB moves a whole row when a list in it changes. It is told which rows first: it would hold
    the texts of all others that lie near them too.
    """
    if not store.scalar("SELECT count(*) FROM met_again"):
        return
    for name in (LANDING.name, REQUESTS.name):
        store.execute(
            "CREATE OR REPLACE TEMP TABLE noted AS SELECT kept.rowid AS place, list_concat("
            "  kept.sources, list_filter(again.sources, lambda s: "
            "  NOT list_contains(kept.sources, s))) AS sources "
            f'FROM "{name}" AS kept JOIN ('
            f"  SELECT {_KEY}, list(DISTINCT source ORDER BY source) AS sources "
            f"  FROM met_again GROUP BY ALL) AS again USING ({_KEY})"
        )
        places = [place for (place,) in store.rows("SELECT place FROM noted ORDER BY place")]
        for start in range(0, len(places), _MAX_MOVED_ROWS):
            some = ", ".join(map(str, places[start : start + _MAX_MOVED_ROWS]))
            store.execute(
                f'UPDATE "{name}" AS kept SET sources = noted.sources FROM noted '
                f"WHERE kept.rowid = noted.place AND kept.rowid IN ({some})"
            )
    store.execute("DROP TABLE noted")
    store.execute("DELETE FROM met_again")


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


def admit(store: Store, tables: Iterable[pa.Table]) -> None:
    """Insert redacted rows into requests, as they come. Raises as `add_calls` does."""
    _stream(store, REQUESTS, tables)


def clear(store: Store) -> None:
    store.execute("DELETE FROM landing")
