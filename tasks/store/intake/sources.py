"""Queries on `sources`: which files were read, how far, and what each reading brought."""

from __future__ import annotations

from collections.abc import Iterator
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


def last_reading(store: Store, path: str) -> LastReading | None:
    return next(_readings(store, "path = ?", path), None)


def readings_of(store: Store, path: str, digest: str) -> list[LastReading]:
    """All readings of exactly this content at this path, the newest first."""
    return list(_readings(store, "path = ? AND digest = ?", path, digest))


def reading_in(store: Store, path: str, run_id: str) -> LastReading | None:
    """The reading of this path by that run."""
    return next(_readings(store, "path = ? AND run_id = ?", path, run_id), None)


def _readings(store: Store, condition: str, *parameters: str) -> Iterator[LastReading]:
    """The newest first."""
    for row in store.rows(
        "SELECT digest, size_bytes, mtime_ns, bytes_done, format, parser_version, etag, "
        "since, until, first_call_at, last_call_at "
        f"FROM sources WHERE {condition} ORDER BY read_at DESC, rowid DESC",
        parameters,
    ):
        digest, size, mtime, done, name, version, etag, since, until, first, last = row
        window = Window(since, until)
        yield LastReading(digest, size, mtime, done, name, version, etag, window, first, last)


def took_in(readings: list[LastReading], wanted: Window) -> bool:
    """Whether readings of one content, the newest first, took in all calls of the window.

    Those by another format than the newest one's do not count.
    """
    newest = readings[0]
    windows = [past.window for past in readings if past.format == newest.format]
    return covered(wanted, newest.first_call_at, newest.last_call_at, windows)


def touch(
    store: Store, path: str, digest: str, mtime_ns: int, etag: str | None, now: datetime
) -> None:
    """The content was met again under another time: nothing new, and now the newest."""
    store.execute(
        "UPDATE sources SET mtime_ns = ?, etag = ?, read_at = ? WHERE path = ? AND digest = ?",
        [mtime_ns, etag, now, path, digest],
    )


def changed_files(store: Store, run_id: str) -> list[str]:
    """Files of this run that had changed other than by growing since they were read before."""
    rows = store.rows(
        "SELECT DISTINCT path FROM sources WHERE run_id = ? AND changed ORDER BY path", [run_id]
    )
    return [path for (path,) in rows]


def add_reading(store: Store, row: dict[str, Any]) -> None:
    """One reading; a second one of the same content in the same run replaces the first."""
    store.execute(
        "DELETE FROM sources WHERE path = ? AND digest = ? AND run_id = ?",
        [row["path"], row["digest"], row["run_id"]],
    )
    store.insert(SOURCES, [row])


def totals(store: Store, run_id: str) -> Totals:
    row = store.one(
        "SELECT count(DISTINCT path), " + ", ".join(
            f"least(coalesce(sum({name}), 0), {2**63 - 1})::BIGINT"
            for name in ("rows_in", "rows_out", "duplicates", "dead_letters", "input_tokens",
                         "output_tokens", "other_spans", "outside_window")
        ) + " FROM sources WHERE run_id = ?",
        [run_id],
    )  # fmt: skip
    assert row is not None
    return Totals(*row)


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
