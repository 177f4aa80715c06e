"""Located records to batches of rows: what one process hands to another, and to the store.

Pure: records in, rows out, no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from expectations.contracts import LANDING
from tasks.logs.reading.locate import Located
from tasks.logs.shapes.feedback import of_call
from tasks.logs.shapes.records import Call, Feedback, Other
from tasks.logs.shapes.rows import CallRow, Reader, Row, call_row, dead_letter_row, feedback_row
from tasks.store.db.arrow import table_from_values
from tasks.store.intake.readings import Batch

#: small enough for the processor's cache, large enough that a batch costs nothing
_MAX_ROWS = 2_000
_MAX_BYTES = 8 * 2**20
_MESSAGES, _RESPONSE = (LANDING.column_names.index(name) for name in ("messages", "response"))
_REQUEST_ID = LANDING.column_names.index("request_id")


@dataclass(slots=True)
class _Filling:
    calls: list[CallRow] = field(default_factory=list)
    signals: list[tuple[Row, bool]] = field(default_factory=list)
    dead: list[Row] = field(default_factory=list)
    other_spans: int = 0
    num_bytes: int = 0
    outside_window: int = 0
    first_call_at: datetime | None = None
    last_call_at: datetime | None = None

    def is_full(self) -> bool:
        num_rows = len(self.calls) + len(self.signals) + len(self.dead)
        return num_rows >= _MAX_ROWS or self.num_bytes >= _MAX_BYTES

    def batch(self, bytes_done: int) -> Batch:
        calls = table_from_values(LANDING, self.calls)
        return Batch(
            calls,
            self.signals,
            self.dead,
            self.other_spans,
            bytes_done,
            self.outside_window,
            self.first_call_at,
            self.last_call_at,
        )

    def is_outside(self, started_at: datetime | None, reader: Reader) -> bool:
        """Whether the run asked for no call of that time; a call without one is always taken in."""
        if started_at is None:
            return False
        self.first_call_at = min(self.first_call_at or started_at, started_at)
        self.last_call_at = max(self.last_call_at or started_at, started_at)
        return not reader.window.holds(started_at)


def batches(
    located: Iterable[Located], reader: Reader, bytes_done: Callable[[], int]
) -> Iterator[Batch]:
    """Every record in order, in batches of bounded size; the last may be empty."""
    filling = _Filling()
    for each in located:
        _add(filling, each, reader)
        if filling.is_full():
            yield filling.batch(bytes_done())
            filling = _Filling()
    yield filling.batch(bytes_done())


def _add(filling: _Filling, located: Located, reader: Reader) -> None:
    record, place = located.record, located.place
    if isinstance(record, Call):
        if filling.is_outside(record.started_at, reader):
            filling.outside_window += 1
            return
        row = call_row(record, place, reader)
        filling.calls.append(row)
        filling.num_bytes += len(row[_MESSAGES] or b"") + len(row[_RESPONSE] or b"")
        for each in record.feedback:
            signal = of_call(each, row[_REQUEST_ID])
            # feedback that came with its call is no record of its own
            filling.signals.append((feedback_row(signal, place, reader), False))
    elif isinstance(record, Other):
        filling.other_spans += record.count
    elif isinstance(record, Feedback):
        filling.signals.append((feedback_row(record, place, reader), True))
    else:
        where = (located.line_number, located.byte_offset)
        filling.dead.append(dead_letter_row(record.error, located.raw, *where, reader))
        filling.num_bytes += len(located.raw)
