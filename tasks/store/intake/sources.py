"""Queries on `sources`: which files were read, how far, and what each reading brought."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from expectations.contracts import SOURCES
from tasks.model.window import Window, covered
from tasks.store.db.connection import Store


@dataclass(frozen=True, slots=True)
class LastReading:
    """As far as deciding what is new needs it."""

    digest: str
    size_bytes: int
    mtime_ns: int
    bytes_done: int
    format: str
    parser_version: str
    etag: str | None
    window: Window
    first_call_at: datetime | None
    last_call_at: datetime | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the readings of one run."""

    num_files: int
    rows_in: int
    rows_out: int
    duplicates: int
    dead_letters: int
    input_tokens: int
    output_tokens: int
    other_spans: int
    outside_window: int
    forgotten: int


def last_reading(store: Store, path: str) -> LastReading | None:
    return next((reading for _, reading in _readings(store, "path = ?", path)), None)


def readings_by_path(store: Store, paths: Sequence[str]) -> dict[str, list[LastReading]]:
    """All readings of each of these paths, the newest first; a path without any is left out."""
    found: dict[str, list[LastReading]] = {}
    for path, reading in _readings(store, "path IN (SELECT unnest(?))", list(paths)):
        found.setdefault(path, []).append(reading)
    return found


def reading_in(store: Store, path: str, run_id: str) -> LastReading | None:
    """The reading of this path by that run."""
    found = _readings(store, "path = ? AND run_id = ?", path, run_id)
    return next((reading for _, reading in found), None)


def _readings(
    store: Store, condition: str, *parameters: str | list[str]
) -> Iterator[tuple[str, LastReading]]:
    """With their paths, the newest first."""
    for row in store.rows(
        "SELECT path, digest, size_bytes, mtime_ns, bytes_done, format, parser_version, etag, "
        "since, until, first_call_at, last_call_at "
        f"FROM sources WHERE {condition} ORDER BY read_at DESC, rowid DESC",
        parameters,
    ):
        path, digest, size, mtime, done, name, version, etag, since, until, first, last = row
        window = Window(since, until)
        yield path, LastReading(digest, size, mtime, done, name, version, etag, window, first, last)


def took_in(readings: list[LastReading], wanted: Window) -> bool:
    """Whether readings of one content, the newest first, took in all calls of the window.

    Those by another format than the newest one's do not count.
    """
    newest = readings[0]
    windows = [past.window for past in readings if past.format == newest.format]
    return covered(wanted, newest.first_call_at, newest.last_call_at, windows)


@dataclass(frozen=True, slots=True)
class MetAgain:
    """Content under another time: nothing new, and now the newest reading of its path."""

    path: str
    digest: str
    mtime_ns: int
    etag: str | None
    now: datetime


def touch(store: Store, files: Sequence[MetAgain]) -> None:
    columns = ("path", "digest", "mtime_ns", "etag", "now")
    store.execute(
        "UPDATE sources SET mtime_ns = met.mtime_ns, etag = met.etag, read_at = met.now FROM ("
        "  SELECT unnest(?::VARCHAR[]) AS path, unnest(?::VARCHAR[]) AS digest, "
        "  unnest(?::BIGINT[]) AS mtime_ns, unnest(?::VARCHAR[]) AS etag, "
        "  unnest(?::TIMESTAMP[]) AS now) met "
        "WHERE sources.path = met.path AND sources.digest = met.digest",
        [[getattr(file, name) for file in files] for name in columns],
    )


def changed_files(store: Store, run_id: str) -> list[str]:
    """Files of this run that had changed other than by growing since they were read before."""
    rows = store.rows(
        "SELECT DISTINCT path FROM sources WHERE run_id = ? AND changed ORDER BY path", [run_id]
    )
    return [path for (path,) in rows]


def add_readings(store: Store, rows: Sequence[dict[str, Any]]) -> None:
    """Readings of one run; a second one of the same content in the same run replaces the first."""
    store.execute(
        "DELETE FROM sources WHERE run_id IN (SELECT unnest(?)) AND (path, digest) IN ("
        "  SELECT (unnest(?), unnest(?)))",
        [[row[name] for row in rows] for name in ("run_id", "path", "digest")],
    )
    store.insert(SOURCES, rows)


def totals(store: Store, run_id: str) -> Totals:
    row = store.one(
        "SELECT count(DISTINCT path), " + ", ".join(
            f"least(coalesce(sum({name}), 0), {2**63 - 1})::BIGINT"
            for name in ("rows_in", "rows_out", "duplicates", "dead_letters", "input_tokens",
                         "output_tokens", "other_spans", "outside_window", "forgotten")
        ) + " FROM sources WHERE run_id = ?",
        [run_id],
    )  # fmt: skip
    assert row is not None
    return Totals(*row)


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Of the files that have content, those that no format takes. `first`: of some of them path
    and reason, those that `num_new` counts before the others: the run met them."""

    num_filled: int
    num: int
    num_new: int
    first: tuple[tuple[str, str], ...]


def unrecognised(
    store: Store, paths: Sequence[str], run_id: str, unknown: str, max_files: int
) -> Unrecognised:
    """By the last readings of these files. `unknown`: the format of what none takes."""
    rows = store.rows(
        "WITH last AS ("
        "  SELECT path, format, run_id FROM sources WHERE path IN (SELECT unnest($1)) "
        "  QUALIFY row_number() OVER (PARTITION BY path ORDER BY read_at DESC, rowid DESC) = 1 "
        "  AND size_bytes > 0), "
        "letters AS ("
        "  SELECT source AS path, error, state FROM dead_letters WHERE line_number IS NULL "
        "  AND source IN (SELECT path FROM last WHERE format = $2) "
        "  QUALIFY row_number() OVER (PARTITION BY source ORDER BY created_at DESC, rowid DESC) = 1"
        "), "
        "unread AS ("
        "  SELECT path, coalesce(error, '') AS error, last.run_id = $3 AS is_new "
        "  FROM last LEFT JOIN letters USING (path) "
        "  WHERE format = $2 AND coalesce(state, '') <> 'replayed') "
        "SELECT (SELECT count(*) FROM last), count(*) OVER (), "
        "count(*) FILTER (is_new) OVER (), path, error "
        "FROM unread ORDER BY is_new DESC, path LIMIT $4",
        [list(paths), unknown, run_id, max_files],
    )
    if not rows:
        return Unrecognised(0, 0, 0, ())
    num_filled, num, num_new, *_ = rows[0]
    return Unrecognised(num_filled, num, num_new, tuple((path, why) for *_, path, why in rows))


def without_calls(
    store: Store, run_id: str, unknown: str, max_files: int
) -> tuple[int, dict[str, str]]:
    """How many files of this run were recognised and have not brought a record, in any run; of the
    first of them path and format."""
    rows = store.rows(
        "SELECT count(*) OVER (), path, arg_max(format, read_at) FROM sources "
        "WHERE path IN (SELECT path FROM sources WHERE run_id = ?) GROUP BY path "
        "HAVING sum(rows_in) = 0 AND max(size_bytes) > 0 AND arg_max(format, read_at) <> ? "
        "ORDER BY path LIMIT ?",
        [run_id, unknown, max_files],
    )
    return (rows[0][0] if rows else 0), {path: name for _, path, name in rows}


def unread_keys(store: Store, run_id: str, max_files: int) -> tuple[int, dict[str, dict[str, int]]]:
    """In how many files of this run there are keys that mean nothing to us; of the first of them
    the keys, with how many records have each."""
    rows = store.rows(
        "SELECT count(*) OVER (), path, arg_max(unread_keys, read_at) FROM sources "
        "WHERE run_id = ? AND unread_keys IS NOT NULL GROUP BY path ORDER BY path LIMIT ?",
        [run_id, max_files],
    )
    return (rows[0][0] if rows else 0), {path: json.loads(keys) for _, path, keys in rows}


def num_formats(store: Store) -> int:
    """Formats of all calls that were ever taken in."""
    return int(store.scalar("SELECT count(DISTINCT format) FROM sources WHERE rows_out > 0"))


def rows_by_format(store: Store, run_id: str) -> dict[str, int]:
    return dict(
        store.rows(
            "SELECT format, sum(rows_out)::BIGINT FROM sources WHERE run_id = ? "
            "GROUP BY format HAVING sum(rows_out) > 0 ORDER BY format",
            [run_id],
        )
    )
