"""Parquet to rows, a few at a time, so that no more is decoded than a line of a log may hold.

The footer tells what a column takes in the file, which says nothing of what it takes decoded: a
dictionary of one long text stands for any number of rows. So batches are small until one was seen
to be so, and a row is measured before Python gets it. What a single cell takes is known only once
it is decoded: whoever calls does so in a process with a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.logs.shapes.records import UnreadableError

_BATCH_ROWS = 128


def parquet_rows(path: Path, max_row_bytes: int) -> Iterator[dict[str, object] | UnreadableError]:
    """Rows in order; instead of one that takes more than `max_row_bytes`, why it cannot be read.

    Raises OSError, ValueError and NotImplementedError for a file that is none, or damaged.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            if batch.nbytes <= max_row_bytes:
                yield from batch.to_pylist()
                continue
            for number in range(batch.num_rows):
                row = batch.slice(number, 1)
                if row.nbytes > max_row_bytes:
                    yield UnreadableError(
                        f"a row of {row.nbytes} bytes; the limit is {max_row_bytes} "
                        "([ingest] max_line_bytes)"
                    )
                else:
                    yield row.to_pylist()[0]
