"""Rows of one reading of a log file, written in batches, every record counted once.

Works inside the transaction of the file. The same call (id and content), the same feedback and
the same dead letter count as duplicates, whether they were met in this file or a year ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.store import deadletters, feedback, landing
from tasks.store.connection import Store

_MAX_BATCH_ROWS = 50_000
_MAX_BATCH_BYTES = 64 * 2**20
_MAX_COUNT = 2**63 - 1

Row = dict[str, Any]


@dataclass(slots=True)
class Counts:
    """rows_in = rows_out + duplicates + dead_letters, always."""

    rows_out: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def rows_in(self) -> int:
        return self.rows_out + self.duplicates + self.dead_letters


class Intake:
    """Collects rows; `flush` writes them. `dead_ids` holds every dead letter met."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._calls: list[pa.Table] = []
        self._feedback: list[tuple[Row, bool]] = []
        self._dead: list[Row] = []
        self._num_rows = self._num_bytes = 0
        self.counts = Counts()
        self.dead_ids: set[str] = set()

    def add(
        self,
        calls: pa.Table,
        signals: Sequence[tuple[Row, bool]],
        dead: Sequence[Row],
        num_bytes: int,
    ) -> None:
        """Calls with the columns of landing; feedback, and whether it is a record of its own."""
        self._calls.append(calls)
        self._feedback.extend(signals)
        self._dead.extend(dead)
        self._num_rows += calls.num_rows + len(signals) + len(dead)
        self._num_bytes += num_bytes
        if self._num_rows >= _MAX_BATCH_ROWS or self._num_bytes >= _MAX_BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._calls:
            self._flush_calls(pa.concat_tables(self._calls))
        self._flush_feedback()
        self._flush_dead()
        self._calls = []
        self._num_rows = self._num_bytes = 0

    def _flush_calls(self, calls: pa.Table) -> None:
        again = landing.known_calls(self._store, calls) | _repeated(calls)
        is_new = [position not in again for position in range(calls.num_rows)]
        landing.add_calls(self._store, calls, is_new)
        if again:
            landing.add_sources(self._store, calls.take(pa.array(sorted(again), type=pa.int64())))
        for name in ("input_tokens", "output_tokens"):
            tokens = zip(calls[name].to_pylist(), is_new, strict=True)
            total = getattr(self.counts, name) + sum(n or 0 for n, new in tokens if new)
            # exact, and held at the largest there is room for: a log may claim any number
            setattr(self.counts, name, min(_MAX_COUNT, total))
        self.counts.rows_out += calls.num_rows - len(again)
        self.counts.duplicates += len(again)

    def _flush_feedback(self) -> None:
        ids = [row["feedback_id"] for row, _ in self._feedback]
        known = feedback.known_feedback(self._store, ids)
        fresh: list[Row] = []
        for row, alone in self._feedback:
            is_new = row["feedback_id"] not in known
            if is_new:
                known.add(row["feedback_id"])
                fresh.append(row)
            if alone:
                self.counts.rows_out += is_new
                self.counts.duplicates += not is_new
        feedback.add_feedback(self._store, fresh)
        self._feedback = []

    def _flush_dead(self) -> None:
        ids = [row["dead_letter_id"] for row in self._dead]
        self.dead_ids.update(ids)
        known = deadletters.known_dead_letters(self._store, ids)
        fresh: list[Row] = []
        for row in self._dead:
            if row["dead_letter_id"] in known:
                self.counts.duplicates += 1
            else:
                known.add(row["dead_letter_id"])
                fresh.append(row)
        deadletters.add_dead_letters(self._store, fresh)
        self.counts.dead_letters += len(fresh)
        self._dead = []


def _repeated(calls: pa.Table) -> set[int]:
    """Positions of calls that stand in the same table before."""
    digests = calls["content_digest"].to_pylist()
    if len(set(digests)) == len(digests):
        return set()
    seen: set[tuple[str, str]] = set()
    repeated: set[int] = set()
    for position, key in enumerate(zip(calls["request_id"].to_pylist(), digests, strict=True)):
        if key in seen:
            repeated.add(position)
        seen.add(key)
    return repeated
