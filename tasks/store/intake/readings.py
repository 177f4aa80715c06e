"""Rows of one reading of a log file into the store, every record counted once.

Works inside the transaction of the file. The same call (id and content), the same feedback and
the same dead letter count as duplicates, whether they were met in this file or a year ago.

Calls stream into one INSERT, which writes them out compressed as they come, so memory does not
grow with the file. A row that is taken back or changed before the commit would make DuckDB write
all of them once more; so a call that may have been met in this file stays out of the stream, and
where calls were met again is noted with them by `landing.note_sources` after the commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from expectations.contracts import DEAD_LETTERS, FEEDBACK, TableContract
from tasks.store.db.connection import Store
from tasks.store.held import dead_letters
from tasks.store.intake import landing
from tasks.store.intake.ids import SafeId, with_safe_ids

_MAX_HELD_ROWS = 20_000
_MAX_HELD_BYTES = 64 * 2**20
_MAX_COUNT = 2**63 - 1

Row = dict[str, Any]


@dataclass(slots=True)
class Counts:
    """Of a reading: rows_in = rows_out + duplicates + dead_letters + outside_window, always.

    `outside_window`: calls that the run's window passed over; the earliest and the latest start of
    a call are over those too. `bytes_done`: where a later reading of the file goes on.
    """

    rows_out: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    other_spans: int = 0
    bytes_done: int = 0
    outside_window: int = 0
    first_call_at: datetime | None = None
    last_call_at: datetime | None = None

    @property
    def rows_in(self) -> int:
        return self.rows_out + self.duplicates + self.dead_letters + self.outside_window

    def met_calls(self, first: datetime | None, last: datetime | None) -> None:
        """Calls started from `first` to `last`; None where there were none."""
        if first is not None and last is not None:
            self.first_call_at = min(self.first_call_at or first, first)
            self.last_call_at = max(self.last_call_at or last, last)


@dataclass(slots=True)
class DeadCap:
    """How many dead letters of one reading are kept each by itself, and how many bytes of them.

    The first that is too many closes it, so that what is kept is the beginning, however the file
    was cut among processes. None: no limit.
    """

    max_letters: int | None = None
    max_bytes: int | None = None
    _is_closed: bool = False

    def admits(self, num_bytes: int) -> bool:
        if self.max_letters is not None:
            self.max_letters -= 1
            self._is_closed = self._is_closed or self.max_letters < 0
        if self.max_bytes is not None:
            self.max_bytes -= num_bytes
            self._is_closed = self._is_closed or self.max_bytes < 0
        return not self._is_closed


@dataclass(slots=True)
class DeadRest:
    """Dead letters beyond the cap, as the one letter that stands for them. `first`: its row, with
    the place and the reason of the first of them and no bytes."""

    first: Row
    last_line: int | None
    num_records: int = 1

    def add(self, other: DeadRest) -> None:
        """What comes behind it in the file."""
        self.last_line = other.last_line
        self.num_records += other.num_records

    def row(self) -> Row:
        line, offset = self.first["line_number"], self.first["byte_offset"]
        name = f"{self.first['source']}\n{offset}\n{self.num_records} to {self.last_line}"
        where = "" if line is None else f", lines {line} to {self.last_line}"
        return {
            **self.first,
            "dead_letter_id": hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest(),
            "error": f"{self.num_records} more records that cannot be read{where}; the first: "
            f"{self.first['error']}",
            "is_rest": True,
            "num_records": self.num_records,
            "last_line": self.last_line,
        }


@dataclass(frozen=True, slots=True)
class LogRows:
    """Rows of a stretch of a file: `calls` with the columns of landing, JSON as Arrow's JSON.

    `signals`: a feedback row, and whether it is a record of its own (not if it came with a call).
    `dead`: letters of records, `rest` those beyond the cap; `notes`: letters about the file, which
    are kept whatever their number. `counts`: of what is no row, and where it ends; what the rows
    come to, the store tells.
    """

    calls: pa.Table
    signals: list[tuple[Row, bool]]
    dead: list[Row]
    counts: Counts = field(default_factory=Counts)
    rest: DeadRest | None = None
    notes: list[Row] = field(default_factory=list)


class Intake:
    """Takes the batches of one file. `dead`: the number of records of every dead letter met."""

    def __init__(self, store: Store, cap: DeadCap, safe_id: SafeId) -> None:
        self._store = store
        self._safe_id = safe_id
        self._boundary = landing.last_row(store)
        self._met = Digests()
        self._again: list[pa.Table] = []
        self._signals: list[tuple[Row, bool]] = []
        self._dead: list[Row] = []
        self._rest: DeadRest | None = None
        self._cap = cap
        self._held_rows = self._held_bytes = 0
        self._failure: BaseException | None = None
        self.counts = Counts()
        self.dead: dict[str, int] = {}

    def take(self, batches: Iterable[LogRows]) -> None:
        """All of a file. Raises what the batches raise."""
        source = iter(batches)
        while (first := next(source, None)) is not None:
            landing.add_calls(self._store, self._fresh_calls(first, source))
            if self._failure is not None:
                raise self._failure
            self._flush()
        if self._rest is not None:
            self._dead = [self._rest.row()]
            self._flush()
        again = landing.take_back_known(self._store, self._boundary)
        self.counts.duplicates += again
        counts = landing.count_from(self._store, self._boundary)
        self.counts.rows_out += counts.num_rows
        self.counts.input_tokens = min(_MAX_COUNT, counts.input_tokens)
        self.counts.output_tokens = min(_MAX_COUNT, counts.output_tokens)

    def _fresh_calls(self, first: LogRows, source: Iterator[LogRows]) -> Iterator[pa.Table]:
        """Calls that this file has not had; until what is held beside them has to be written."""
        batch: LogRows | None = first
        try:
            while batch is not None:
                yield self._hold_back(batch)
                full = self._held_rows >= _MAX_HELD_ROWS or self._held_bytes >= _MAX_HELD_BYTES
                batch = None if full else next(source, None)
        except BaseException as error:
            # DuckDB would make a text of it
            self._failure = error

    def _hold_back(self, batch: LogRows) -> pa.Table:
        self.counts.other_spans += batch.counts.other_spans
        self.counts.bytes_done = batch.counts.bytes_done
        self.counts.outside_window += batch.counts.outside_window
        self.counts.met_calls(batch.counts.first_call_at, batch.counts.last_call_at)
        for row, alone in batch.signals:
            self._signals.append(({**row, "request_id": self._safe_id(row["request_id"])}, alone))
        dead = self._hold_dead(batch)
        met = self._met.add(batch.calls["content_digest"].to_pylist())
        calls = with_safe_ids(batch.calls, self._safe_id)
        if met.any():
            again = calls.filter(pa.array(met))
            calls = calls.filter(pa.array(~met))
            self._again.append(again)
            self._held_bytes += again.nbytes
            self._held_rows += again.num_rows
        self._held_rows += len(batch.signals) + len(dead)
        self._held_bytes += sum(len(row["raw"]) for row in dead)
        return calls

    def _hold_dead(self, batch: LogRows) -> list[Row]:
        """The letters of the batch that are kept each by itself."""
        kept = list(batch.notes)
        for row in batch.dead:
            if self._cap.admits(len(row["raw"])):
                kept.append(row)
            else:
                self._add_rest(DeadRest({**row, "raw": b""}, row["line_number"]))
        if batch.rest is not None:
            self._add_rest(batch.rest)
        self._dead += kept
        return kept

    def _add_rest(self, rest: DeadRest) -> None:
        if self._rest is None:
            self._rest = rest
        else:
            self._rest.add(rest)

    def _flush(self) -> None:
        if self._again:
            again = landing.add_new_calls(self._store, pa.concat_tables(self._again))
            self.counts.duplicates += again
        self._flush_signals()
        self._flush_dead()
        self._again, self._signals, self._dead = [], [], []
        self._held_rows = self._held_bytes = 0

    def _flush_signals(self) -> None:
        ids = [row["feedback_id"] for row, _ in self._signals]
        known = self._known(FEEDBACK, ids)
        fresh: list[Row] = []
        for row, alone in self._signals:
            is_new = row["feedback_id"] not in known
            if is_new:
                known.add(row["feedback_id"])
                fresh.append(row)
            if alone:
                self.counts.rows_out += is_new
                self.counts.duplicates += not is_new
        self._store.insert(FEEDBACK, fresh)

    def _flush_dead(self) -> None:
        ids = [row["dead_letter_id"] for row in self._dead]
        known = self._known(DEAD_LETTERS, ids)
        fresh: list[Row] = []
        for row in self._dead:
            num_records = row["num_records"]
            self.dead[row["dead_letter_id"]] = num_records
            if row["dead_letter_id"] in known:
                self.counts.duplicates += num_records
            else:
                known.add(row["dead_letter_id"])
                fresh.append(row)
                self.counts.dead_letters += num_records
        dead_letters.add(self._store, fresh)

    def _known(self, table: TableContract, ids: list[str]) -> set[str]:
        """Those that the table holds."""
        if not ids:
            return set()
        (key,) = table.key
        rows = self._store.rows(
            f"SELECT {key} FROM {table.name} WHERE {key} IN (SELECT unnest(?))", [ids]
        )
        return {row_id for (row_id,) in rows}


class Digests:
    """Which digests were met, by their first 64 bits: 8 bytes each, where a set takes 150.

    So `True` means perhaps, and who must know looks closer; `False` is certain.
    """

    def __init__(self) -> None:
        #: each sorted, each more than twice as long as the next
        self._runs: list[np.ndarray] = []

    def add(self, digests: list[str]) -> np.ndarray:
        """Remember hexadecimal digests; [num_digests] bool: was it met before, here included?"""
        if not digests:
            return np.zeros(0, dtype=np.bool_)
        keys = np.array([int(digest[:16], 16) for digest in digests], dtype=np.uint64)
        fresh, places = np.unique(keys, return_index=True)
        met = np.ones(len(keys), dtype=np.bool_)
        met[places] = False
        for run in self._runs:
            position = np.minimum(np.searchsorted(run, fresh), len(run) - 1)
            met[places[run[position] == fresh]] = True
        self._runs.append(fresh)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            self._runs.append(np.union1d(self._runs.pop(), self._runs.pop()))
        return met
