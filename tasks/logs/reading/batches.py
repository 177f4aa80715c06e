"""Located records to rows, in batches: what one process hands to another, and to the store.

Pure: records in, rows out, no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from expectations.contracts import LANDING
from tasks.logs.reading.locate import Located
from tasks.logs.shapes.records import Call, Feedback, Other
from tasks.logs.shapes.rows import (
    CallValues,
    Provenance,
    Row,
    call_values,
    dead_letter_row,
    feedback_row,
)
from tasks.store.db.arrow import table_from_values
from tasks.store.intake.readings import Counts, LogRows

#: small enough for the processor's cache, large enough that a batch costs nothing
_MAX_ROWS = 2_000
_MAX_BYTES = 8 * 2**20
_MESSAGES, _RESPONSE = (LANDING.column_names.index(name) for name in ("messages", "response"))
_REQUEST_ID = LANDING.column_names.index("request_id")


@dataclass(slots=True)
class _Filling:
    calls: list[CallValues] = field(default_factory=list)
    signals: list[tuple[Row, bool]] = field(default_factory=list)
    dead: list[Row] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    num_bytes: int = 0

    def rows(self, bytes_done: int) -> LogRows:
        self.counts.bytes_done = bytes_done
        calls = table_from_values(LANDING, self.calls)
        return LogRows(calls, self.signals, self.dead, self.counts)


def rows_of(
    records: Iterable[Located], made_by: Provenance, bytes_done: Callable[[], int]
) -> Iterator[LogRows]:
    """Every record in order, in batches of bounded size; the last may be empty."""
    filling = _Filling()
    for located in records:
        _add(filling, located, made_by)
        num_rows = len(filling.calls) + len(filling.signals) + len(filling.dead)
        if num_rows >= _MAX_ROWS or filling.num_bytes >= _MAX_BYTES:
            yield filling.rows(bytes_done())
            filling = _Filling()
    yield filling.rows(bytes_done())


def _add(filling: _Filling, located: Located, made_by: Provenance) -> None:
    record, place = located.record, located.place
    if isinstance(record, Call):
        started_at = record.started_at
        filling.counts.met_calls(started_at, started_at)
        # a call without a time is always taken in
        if started_at is not None and not made_by.window.holds(started_at):
            filling.counts.outside_window += 1
            return
        values = call_values(record, place, made_by)
        filling.calls.append(values)
        filling.num_bytes += len(values[_MESSAGES] or b"") + len(values[_RESPONSE] or b"")
        for signal in record.feedback:
            about = replace(signal, request_id=values[_REQUEST_ID])
            # feedback that came with its call is no record of its own
            filling.signals.append((feedback_row(about, place, made_by), False))
    elif isinstance(record, Other):
        filling.counts.other_spans += record.count
    elif isinstance(record, Feedback):
        filling.signals.append((feedback_row(record, place, made_by), True))
    else:
        where = (located.line_number, located.byte_offset)
        filling.dead.append(dead_letter_row(record.error, located.raw, *where, made_by))
        filling.num_bytes += len(located.raw)
