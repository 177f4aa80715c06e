"""Queries of drift: a sample of calls before and after a row of `requests`, and the results."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from expectations.contracts import DATA_SET_FORMAT, DRIFT
from tasks.model.drift import ColumnDrift, Drift
from tasks.store.db.connection import Store

if TYPE_CHECKING:
    import pyarrow as pa

_KEPT = tuple(name for name in ColumnDrift.__dataclass_fields__ if name != "moved")
_WHEN = "coalesce(started_at, ingested_at)"
#: conversations of data sets are no traffic
_TRAFFIC = f"format <> '{DATA_SET_FORMAT}'"
#: a hash puts sessions, then the calls of one, in an order that the data do not decide
_SAMPLE = """
SELECT arg_min(rowid, hash(request_id, $seed)) FROM requests
WHERE {where} AND {traffic} GROUP BY coalesce(session_id, request_id)
ORDER BY hash(coalesce(session_id, request_id), $seed) LIMIT $max_rows
"""
_COLUMNS = """
SELECT format, model, operation, status, error_type, finish_reason,
    CASE WHEN json_array_length(tool_calls) > 0 THEN 'yes' ELSE 'no' END AS has_tool_calls,
    input_tokens::DOUBLE AS input_tokens, output_tokens::DOUBLE AS output_tokens,
    latency_s, ttft_s,
    left(CASE json_type(said) WHEN 'VARCHAR' THEN said->>'$'
              WHEN 'ARRAY' THEN array_to_string(said->>'$[*].text', ' ') END, $max_chars) AS text
FROM (
    SELECT *, list_last(list_filter(from_json(messages, '["JSON"]'),
                                    lambda m: m->>'role' = 'user'))->'content' AS said
    FROM requests WHERE rowid IN (SELECT unnest($places::BIGINT[]))
)
"""


@dataclass(frozen=True, slots=True)
class Window:
    """Calls up to row `last_row` that began at `since` or later."""

    last_row: int
    since: datetime


def last_row(store: Store) -> int:
    """The largest row id; whatever the open transaction inserts from now on lies beyond it."""
    return int(store.scalar("SELECT coalesce(max(rowid), -1) FROM requests"))


def window_before(store: Store, row: int, days: float) -> Window | None:
    """The calls that were there, back to so many days before the median of those beyond `row`.

    The median, because one call with a wrong clock must not move the window. None: no new call.
    """
    median = store.scalar(
        f"SELECT quantile_disc({_WHEN}, 0.5) FROM requests WHERE rowid > ? AND {_TRAFFIC}", [row]
    )
    return None if median is None else Window(row, median - timedelta(days=days))


def sample(
    store: Store, window: Window, *, is_new: bool, max_rows: int, seed: int, chars: int
) -> pa.Table:
    """One call a session of the window, or of what is beyond its last row where `is_new`; at most
    `max_rows`, drawn by `seed`."""
    where = "rowid > $row"
    bound: dict[str, object] = {"row": window.last_row, "max_rows": max_rows, "seed": seed}
    if not is_new:
        where, bound = f"rowid <= $row AND {_WHEN} >= $since", {**bound, "since": window.since}
    drawn = _SAMPLE.format(where=where, traffic=_TRAFFIC)
    places = store.connection.execute(drawn, bound).fetchall()
    bound = {"places": [place for (place,) in places], "max_chars": chars}
    return store.connection.sql(_COLUMNS, params=bound).to_arrow_table()


def write(store: Store, run_id: str, drift: Drift, now: datetime) -> None:
    """The results of a run in place of those that it may have left before."""
    store.execute("DELETE FROM drift WHERE run_id = ?", [run_id])
    rows = [
        {**{name: getattr(column, name) for name in _KEPT}, "run_id": run_id, "position": place,
         "reference_since": drift.since, "created_at": now}
        for place, column in enumerate(drift.columns)
    ]  # fmt: skip
    store.insert(DRIFT, rows)


def read(store: Store, run_id: str) -> tuple[ColumnDrift, ...]:
    names = ", ".join(f'"{name}"' for name in _KEPT)
    rows = store.rows(f"SELECT {names} FROM drift WHERE run_id = ? ORDER BY position", [run_id])
    return tuple(ColumnDrift(*row) for row in rows)


def find_run(store: Store, run_id: str) -> str | None:
    """The newest run with results whose id begins so."""
    newest: str | None = store.scalar(
        "SELECT arg_max(run_id, created_at) FROM drift WHERE starts_with(run_id, ?)", [run_id]
    )
    return newest
