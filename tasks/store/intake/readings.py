"""What a reading of a log file brings, and what the store makes of it: every record counted once.

The same call (id and content), the same feedback and the same dead letter count as duplicates,
whether they were met in this file or a year ago. Feedback and dead letters go in here, calls by
`streaming.py` or, of many small files, `together.py`; all of it inside a transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from expectations.contracts import DEAD_LETTERS, FEEDBACK, TableContract
from tasks.store.db.connection import Store
from tasks.store.held import dead_letters
from tasks.store.intake.forgotten import NOTHING_FORGOTTEN, Forgotten
from tasks.store.intake.ids import SafeId, with_safe_ids

#: of a column of the store
_MAX_COUNT = 2**63 - 1
_MAX_UNREAD_KEYS = 50

Row = dict[str, Any]


@dataclass(slots=True)
class Counts:
    """Of a reading: rows_in = rows_out + duplicates + dead_letters + outside_window, always.

    `outside_window`: calls that the run's window passed over; the earliest and the latest start of
    a call are over those too. `bytes_done`: where a later reading of the file goes on.
    `forgotten`: of the duplicates, records that had been erased. `unread_keys`: of records that we
    do not understand, with how many records have each.
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
    forgotten: int = 0
    unread_keys: dict[str, int] = field(default_factory=dict)

    @property
    def rows_in(self) -> int:
        return self.rows_out + self.duplicates + self.dead_letters + self.outside_window

    def met_calls(self, first: datetime | None, last: datetime | None) -> None:
        """Calls started from `first` to `last`; None where there were none."""
        if first is not None and last is not None:
            self.first_call_at = min(self.first_call_at or first, first)
            self.last_call_at = max(self.last_call_at or last, last)

    def met_unread(self, key: str, num_records: int = 1) -> None:
        """The first of many names are told, so that keys made of data cost nothing."""
        if key in self.unread_keys or len(self.unread_keys) < _MAX_UNREAD_KEYS:
            self.unread_keys[key] = self.unread_keys.get(key, 0) + num_records

    def passed_over(self, num_records: int) -> None:
        """Records that were known, and were erased since."""
        self.duplicates += num_records
        self.forgotten += num_records

    def took_back(self, input_tokens: int, output_tokens: int) -> None:
        """A call that is another reading of one that was counted; what it added to the tokens."""
        self.rows_out -= 1
        self.duplicates += 1
        self.input_tokens -= input_tokens
        self.output_tokens -= output_tokens

    def took_in(self, num_rows: int, input_tokens: int, output_tokens: int) -> None:
        """Calls that are new, and their tokens; a log may claim any number of those."""
        self.rows_out += num_rows
        self.input_tokens = min(_MAX_COUNT, self.input_tokens + input_tokens)
        self.output_tokens = min(_MAX_COUNT, self.output_tokens + output_tokens)


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


class FileRows:
    """One reading of one file, batch by batch: its counts, and what it holds besides calls.

    `dead`: the number of records of every dead letter that the store was given.
    """

    def __init__(
        self, cap: DeadCap, safe_id: SafeId, forgotten: Forgotten = NOTHING_FORGOTTEN
    ) -> None:
        self._cap = cap
        self._safe_id = safe_id
        self._forgotten = forgotten
        self._rest: DeadRest | None = None
        self._num_bytes = 0
        self.signals: list[tuple[Row, bool]] = []
        self.letters: list[Row] = []
        self.counts = Counts()
        self.dead: dict[str, int] = {}

    @property
    def held(self) -> tuple[int, int]:
        """Rows, and bytes of dead letters."""
        return len(self.signals) + len(self.letters), self._num_bytes

    def let_go(self) -> None:
        """What was held is stored."""
        self.signals, self.letters, self._num_bytes = [], [], 0

    def add(self, batch: LogRows) -> pa.Table:
        """Holds all of the batch but its calls; returns those, with ids that may be stored. What
        was erased is neither held nor returned, and counted."""
        self.counts.other_spans += batch.counts.other_spans
        self.counts.bytes_done = batch.counts.bytes_done
        self.counts.outside_window += batch.counts.outside_window
        self.counts.met_calls(batch.counts.first_call_at, batch.counts.last_call_at)
        for key, num_records in batch.counts.unread_keys.items():
            self.counts.met_unread(key, num_records)
        named = with_safe_ids(batch.calls, self._safe_id)
        calls = self._forgotten.without_calls(named)
        self.counts.passed_over(named.num_rows - calls.num_rows)
        for row, alone in batch.signals:
            signal = {**row, "request_id": self._safe_id(row["request_id"])}
            if not self._forgotten.has_signal(signal):
                self.signals.append((signal, alone))
            elif alone:
                self.counts.passed_over(1)
        self._add_letters(batch)
        return calls

    def end(self) -> None:
        """There are no more batches."""
        if self._rest is not None:
            self.letters.append(self._rest.row())
            self._rest = None

    def _add_letters(self, batch: LogRows) -> None:
        self.letters += filter(self._is_new, batch.notes)
        for row in filter(self._is_new, batch.dead):
            if self._cap.admits(len(row["raw"])):
                self.letters.append(row)
                self._num_bytes += len(row["raw"])
            else:
                self._add_rest(DeadRest({**row, "raw": b""}, row["line_number"]))
        if batch.rest is not None:
            self._add_rest(batch.rest)

    def _is_new(self, letter: Row) -> bool:
        """Whether it was not erased; one that was is counted."""
        is_erased = self._forgotten.has_line(letter["raw"])
        if is_erased:
            self.counts.passed_over(letter["num_records"])
        return not is_erased

    def _add_rest(self, rest: DeadRest) -> None:
        if self._rest is None:
            self._rest = rest
        else:
            self._rest.add(rest)


def store_held(store: Store, readings: Sequence[FileRows]) -> None:
    """Feedback and dead letters that the readings hold, which then hold none; counted in each."""
    _store_signals(store, readings)
    _store_letters(store, readings)
    for reading in readings:
        reading.let_go()


def _store_signals(store: Store, readings: Sequence[FileRows]) -> None:
    known = _known(store, FEEDBACK, [row for each in readings for row, _ in each.signals])
    fresh: list[Row] = []
    for reading in readings:
        for row, alone in reading.signals:
            is_new = row["feedback_id"] not in known
            if is_new:
                known.add(row["feedback_id"])
                fresh.append(row)
            if alone:
                reading.counts.rows_out += is_new
                reading.counts.duplicates += not is_new
    store.insert(FEEDBACK, fresh)


def _store_letters(store: Store, readings: Sequence[FileRows]) -> None:
    known = _known(store, DEAD_LETTERS, [row for each in readings for row in each.letters])
    fresh: list[Row] = []
    for reading in readings:
        for row in reading.letters:
            letter_id, num_records = row["dead_letter_id"], row["num_records"]
            reading.dead[letter_id] = num_records
            if letter_id in known:
                reading.counts.duplicates += num_records
            else:
                known.add(letter_id)
                fresh.append(row)
                reading.counts.dead_letters += num_records
    dead_letters.add(store, fresh)


def _known(store: Store, table: TableContract, rows: Sequence[Row]) -> set[str]:
    """Keys of those that the table holds."""
    if not rows:
        return set()
    (key,) = table.key
    found = store.rows(
        f"SELECT {key} FROM {table.name} WHERE {key} IN (SELECT unnest(?))",
        [[row[key] for row in rows]],
    )
    return {row_id for (row_id,) in found}
