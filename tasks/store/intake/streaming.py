"""Calls of one reading of a log file, streamed into the store.

They go into one INSERT, which writes them out compressed as they come, so memory does not grow
with the file. A row that is taken back or changed before the commit would make DuckDB write all of
them once more; so a call that may have been met in this file stays out of the stream, and where
calls were met again is noted with them by `landing.note_sources` after the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from tasks.store.db.connection import Store
from tasks.store.intake import landing
from tasks.store.intake.forgotten import NOTHING_FORGOTTEN, Forgotten
from tasks.store.intake.ids import SafeId
from tasks.store.intake.readings import Counts, DeadCap, FileRows, LogRows, store_held

_MAX_HELD_ROWS = 20_000
_MAX_HELD_BYTES = 64 * 2**20


class Intake:
    """Takes the batches of one file. `dead`: the number of records of every dead letter met."""

    def __init__(
        self,
        store: Store,
        cap: DeadCap,
        safe_id: SafeId,
        forgotten: Forgotten = NOTHING_FORGOTTEN,
    ) -> None:
        self._store = store
        self._boundary = landing.last_row(store)
        self._met = Digests()
        self._again: list[pa.Table] = []
        self._beside = FileRows(cap, safe_id, forgotten)
        self._again_rows = self._again_bytes = 0

    @property
    def counts(self) -> Counts:
        return self._beside.counts

    @property
    def dead(self) -> dict[str, int]:
        return self._beside.dead

    def take(self, batches: Iterable[LogRows]) -> None:
        """All of a file. Raises what the batches raise."""
        source = iter(batches)
        while (first := next(source, None)) is not None:
            landing.add_calls(self._store, self._fresh_calls(first, source))
            self._flush()
        self._beside.end()
        self._flush()
        self.counts.duplicates += landing.take_back_known(self._store, self._boundary)
        new = landing.count_from(self._store, self._boundary)
        self.counts.took_in(new.num_rows, new.input_tokens, new.output_tokens)

    def _fresh_calls(self, first: LogRows, source: Iterator[LogRows]) -> Iterator[pa.Table]:
        """Calls that this file has not had; until what is held beside them has to be written."""
        batch: LogRows | None = first
        while batch is not None:
            yield self._hold_back(batch)
            batch = None if self._is_full else next(source, None)

    @property
    def _is_full(self) -> bool:
        rows, size = self._beside.held
        is_long = rows + self._again_rows >= _MAX_HELD_ROWS
        return is_long or size + self._again_bytes >= _MAX_HELD_BYTES

    def _hold_back(self, batch: LogRows) -> pa.Table:
        calls = self._beside.add(batch)
        met = self._met.add(calls["content_digest"].to_pylist())
        if met.any():
            again = calls.filter(pa.array(met))
            calls = calls.filter(pa.array(~met))
            self._again.append(again)
            self._again_bytes += again.nbytes
            self._again_rows += again.num_rows
        return calls

    def _flush(self) -> None:
        if self._again:
            again = pa.concat_tables(self._again)
            is_new = landing.add_new_calls(self._store, again)
            self.counts.duplicates += int(np.count_nonzero(~is_new))
        store_held(self._store, [self._beside])
        self._again = []
        self._again_rows = self._again_bytes = 0


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
