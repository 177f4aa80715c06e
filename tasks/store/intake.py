"""Rows of one reading of a log file, written in batches, every record counted once.

Works inside the transaction of the file. The same call (id and content), the same feedback and
the same dead letter count as duplicates, whether they were met in this file or a year ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.store import deadletters, feedback, landing
from tasks.store.connection import Store

_MAX_BATCH_ROWS = 10_000
_MAX_BATCH_BYTES = 64 * 2**20

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
        self._calls: list[Row] = []
        self._feedback: list[tuple[Row, bool]] = []
        self._dead: list[Row] = []
        self._num_bytes = 0
        self.counts = Counts()
        self.dead_ids: set[str] = set()

    def add_call(self, row: Row, feedback_rows: Sequence[Row]) -> None:
        """Feedback that came with the call is stored, but is no record of its own."""
        self._calls.append(row)
        self._feedback.extend((each, False) for each in feedback_rows)
        self._added(len(row["messages"] or "") + len(row["response"] or ""))

    def add_feedback(self, row: Row) -> None:
        self._feedback.append((row, True))
        self._added(0)

    def add_dead_letter(self, row: Row) -> None:
        self._dead.append(row)
        self._added(len(row["raw"]))

    def _added(self, num_bytes: int) -> None:
        self._num_bytes += num_bytes
        num_rows = len(self._calls) + len(self._feedback) + len(self._dead)
        if num_rows >= _MAX_BATCH_ROWS or self._num_bytes >= _MAX_BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        self._flush_calls()
        self._flush_feedback()
        self._flush_dead()
        self._num_bytes = 0

    def _flush_calls(self) -> None:
        keys = [(row["request_id"], row["content_digest"]) for row in self._calls]
        known = landing.known_calls(self._store, keys)
        fresh: list[Row] = []
        again: list[tuple[landing.Key, str]] = []
        seen: set[landing.Key] = set()
        for position, (row, key) in enumerate(zip(self._calls, keys, strict=True)):
            if position in known or key in seen:
                again.append((key, row["sources"][0]))
                continue
            seen.add(key)
            fresh.append(row)
            self.counts.input_tokens += row["input_tokens"] or 0
            self.counts.output_tokens += row["output_tokens"] or 0
        landing.add_calls(self._store, fresh)
        landing.add_sources(self._store, again)
        self.counts.rows_out += len(fresh)
        self.counts.duplicates += len(again)
        self._calls = []

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
