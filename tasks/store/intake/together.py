"""Readings of many small files into the store at once: as many statements as one of them needs.

What the store holds afterwards, and what each reading comes to, is as if they had come in one
after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.store.db.connection import Store
from tasks.store.intake import landing
from tasks.store.intake.readings import FileRows, store_held


@dataclass(frozen=True, slots=True)
class WholeReading:
    """All rows of one file; `calls` with ids that may be stored."""

    rows: FileRows
    calls: pa.Table


def take_together(store: Store, readings: Sequence[WholeReading]) -> None:
    """In the order given, each counted in its own `rows.counts`."""
    filled = [reading for reading in readings if reading.calls.num_rows]
    if filled:
        calls = pa.concat_tables([reading.calls for reading in filled]).combine_chunks()
        is_new = landing.add_new_calls(store, calls)
        tokens = [calls[name].to_pylist() for name in ("input_tokens", "output_tokens")]
        start = 0
        for reading in filled:
            end = start + reading.calls.num_rows
            new = np.flatnonzero(is_new[start:end]) + start
            counts = reading.rows.counts
            counts.took_in(len(new), *(sum(each[n] or 0 for n in new) for each in tokens))
            counts.duplicates += end - start - len(new)
            start = end
    store_held(store, [reading.rows for reading in readings])
