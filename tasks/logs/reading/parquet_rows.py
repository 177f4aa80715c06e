"""Parquet to rows, a few at a time, so that no more is decoded than a line of a log may hold.

The footer tells what a column takes in the file, which says nothing of what it takes decoded: a
dictionary of one long text stands for any number of rows, and so does a run of nulls. So batches
are small, a row is measured before Python gets it, and all rows together before the next. What a
single cell takes is known only once it is decoded: whoever calls does so in a process with limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tasks.logs.files.opening import is_bomb
from tasks.logs.shapes.records import UnreadableError

_BATCH_ROWS = 128
#: what a row costs whatever it holds
_ROW_BYTES = 100


def parquet_rows(
    path: Path, size_bytes: int, max_row_bytes: int, max_ratio: float
) -> Iterator[dict[str, object] | UnreadableError]:
    """Rows in order; instead of one that takes more than `max_row_bytes`, why it cannot be read.

    Raises what Arrow raises for a file that is none or damaged, and ValueError where all rows take
    more than `max_ratio` bytes a byte of the file.
    """
    import pyarrow.parquet as pq

    decoded = 0
    with pq.ParquetFile(path) as file:
        for encoded in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            batch = _decoded(encoded)
            decoded += batch.nbytes + batch.num_rows * _ROW_BYTES
            if is_bomb(decoded, size_bytes, max_ratio):
                raise ValueError(
                    f"it decodes to more than {max_ratio:g} bytes a byte: taken for a bomb "
                    "([ingest] max_compression_ratio)"
                )
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


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A text that stands for many rows takes what it takes in all of them."""
    columns = [column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
               for column in batch.columns]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
