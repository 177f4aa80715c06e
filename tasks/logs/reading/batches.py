"""Located records to rows, in batches: what one process hands to another, and to the store.

Pure: records in, rows out, no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from expectations.contracts import LANDING
from tasks.logs.files.lines import MAX_KEPT_BYTES
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import first_bytes
from tasks.logs.reading.locate import Located
from tasks.logs.shapes.records import Call, Dead, Feedback, Note, Other
from tasks.logs.shapes.rows import (
    CallValues,
    Provenance,
    Row,
    call_values,
    dead_letter_row,
    feedback_row,
    start_of,
)
from tasks.settings import IngestSettings
from tasks.store.db.arrow import table_from_values
from tasks.store.intake.readings import Counts, DeadCap, DeadRest, LogRows

#: small enough for the processor's cache, large enough that a batch costs nothing
_MAX_ROWS = 2_000
_MAX_BYTES = 8 * 2**20
#: what makes no row is told of too, so that whoever waits sees that it goes on
_MAX_RECORDS = 100_000
#: of the rows of one line or document: what stands once in it may go into each of them. To commit
#: 2,048 rows takes five times their size, and a document may have 256 MiB by itself
_MAX_VALUE_BYTES = 320 * 2**20
_MESSAGES, _RESPONSE = (LANDING.column_names.index(name) for name in ("messages", "response"))
_TAGS = LANDING.column_names.index("tags")
_REQUEST_ID = LANDING.column_names.index("request_id")


@dataclass(slots=True)
class _Filling:
    calls: list[CallValues] = field(default_factory=list)
    signals: list[tuple[Row, bool]] = field(default_factory=list)
    dead: list[Row] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    rest: DeadRest | None = None
    notes: list[Row] = field(default_factory=list)
    num_records: int = 0
    num_bytes: int = 0

    def rows(self, bytes_done: int) -> LogRows:
        self.counts.bytes_done = bytes_done
        calls = table_from_values(LANDING, self.calls)
        return LogRows(calls, self.signals, self.dead, self.counts, self.rest, self.notes)

    @property
    def is_full(self) -> bool:
        num_rows = len(self.calls) + len(self.signals) + len(self.dead)
        return (
            num_rows >= _MAX_ROWS
            or self.num_bytes >= _MAX_BYTES
            or self.num_records >= _MAX_RECORDS
        )


def cap_of(limits: IngestSettings) -> DeadCap:
    """For one reading of one file."""
    return DeadCap(limits.max_dead_letters, limits.max_dead_letters * MAX_KEPT_BYTES)


def dead_file(file: LogFile, reason: str, made_by: Provenance) -> Iterator[LogRows]:
    """One letter for the whole file, or for what of it was not read."""
    located = Located(Note(reason), None, 0, "#1", first_bytes(file, MAX_KEPT_BYTES))
    return rows_of([located], made_by, lambda: file.size_bytes, DeadCap())


def rows_of(
    records: Iterable[Located], made_by: Provenance, bytes_done: Callable[[], int], cap: DeadCap
) -> Iterator[LogRows]:
    """Every record in order, in batches of bounded size; the last may be empty."""
    filling = _Filling()
    of_value, num_bytes = -1, 0
    for located in records:
        if located.byte_offset != of_value:
            of_value, num_bytes = located.byte_offset, 0
        if num_bytes > _MAX_VALUE_BYTES:
            located.record = Dead(f"the rows before take more than {_MAX_VALUE_BYTES} bytes")
            located.raw = b""
        before = filling.num_bytes
        _add(filling, located, made_by, cap)
        num_bytes += filling.num_bytes - before
        if filling.is_full:
            yield filling.rows(bytes_done())
            filling = _Filling()
    yield filling.rows(bytes_done())


def _add(filling: _Filling, located: Located, made_by: Provenance, cap: DeadCap) -> None:
    record, place = located.record, located.place
    filling.num_records += 1
    if isinstance(record, Call):
        started_at = start_of(record)
        for key in record.unread:
            filling.counts.met_unread(key)
        filling.counts.met_calls(started_at, started_at)
        # a call without a time is always taken in
        if started_at is not None and not made_by.window.holds(started_at):
            filling.counts.outside_window += 1
            return
        values = call_values(record, place, made_by)
        filling.calls.append(values)
        for column in (_MESSAGES, _RESPONSE, _TAGS):
            filling.num_bytes += len(values[column] or b"")
        for signal in record.feedback:
            row = feedback_row(signal, values[_REQUEST_ID], place, made_by)
            # feedback that came with its call is no record of its own
            filling.signals.append((row, False))
    elif isinstance(record, Other):
        filling.counts.other_spans += record.count
    elif isinstance(record, Feedback):
        row = feedback_row(record, record.request_id, place, made_by)
        filling.signals.append((row, True))
    else:
        _add_dead(filling, record, located, made_by, cap)


def _add_dead(
    filling: _Filling, record: Dead, located: Located, made_by: Provenance, cap: DeadCap
) -> None:
    raw, where = located.raw, (located.line_number, located.byte_offset)
    if isinstance(record, Note):
        filling.notes.append(dead_letter_row(record.error, raw, *where, made_by))
    elif cap.admits(len(raw)):
        filling.dead.append(dead_letter_row(record.error, raw, *where, made_by))
        filling.num_bytes += len(raw)
    elif filling.rest is None:
        first = dead_letter_row(record.error, b"", *where, made_by)
        filling.rest = DeadRest(first, located.line_number)
    else:
        filling.rest.last_line = located.line_number
        filling.rest.num_records += 1
