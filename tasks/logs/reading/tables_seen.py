"""What a table is: one whose columns are named, else rows that some format takes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from tasks.logs import formats
from tasks.logs.files.lines import Line
from tasks.logs.files.log_file import LogFile
from tasks.logs.formats import AnyFormat, Format, canonical
from tasks.logs.formats.table import Mapped
from tasks.logs.reading import refusal
from tasks.logs.reading.parquet_rows import parquet_rows
from tasks.logs.reading.recognised import MAX_SAMPLE, Recognised, unrecognised
from tasks.logs.shapes.json_text import plain
from tasks.logs.shapes.records import Json, UnreadableError
from tasks.settings import IngestSettings

_DELIMITERS = (",", ";", "\t", "|")


def parquet_file(
    file: LogFile, limits: IngestSettings, forced: AnyFormat | None, head: bytes
) -> Recognised:  # fmt: skip
    """A table whose columns are named, else rows of any format."""
    if forced is not None:
        return Recognised("parquet", forced, head=head)
    columns = _parquet_columns(file.path)
    if (own := formats.table_of(columns, limits.tables)) is not None:
        return Recognised("parquet", own, head=head)
    known = formats.recognise(_first_rows(file, limits))
    if known is not None:
        return Recognised("parquet", known, head=head)
    if not columns:  # reading it will say why
        return Recognised("parquet", canonical, head=head)
    return unrecognised("parquet", refusal.of_parquet(columns), head)


def _first_rows(file: LogFile, limits: IngestSettings) -> list[Json]:
    """What is wrong with a row, reading it will say."""
    rows = parquet_rows(
        file.path, file.size_bytes, limits.max_line_bytes, limits.max_compression_ratio
    )
    found: list[Json] = []
    try:
        for row in islice(rows, MAX_SAMPLE):
            with suppress(UnreadableError):
                found.append(None if isinstance(row, UnreadableError) else plain(row))
    except Exception:  # Arrow and the values in the file have many ways to fail
        return found
    return found


def _parquet_columns(path: Path) -> Sequence[str]:
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (OSError, ValueError):
        return []


def csv_file(
    lines: Sequence[Line], limits: IngestSettings, forced: AnyFormat | None, head: bytes
) -> Recognised:
    """With the delimiter that finds every named column in the first line, else the one whose rows
    some format takes."""
    line = lines[0].data.decode("utf-8", "replace")
    headers = {sign: next(csv.reader([line], delimiter=sign), []) for sign in _DELIMITERS}
    for delimiter, header in headers.items():
        own = formats.table_of(header, limits.tables) if not isinstance(forced, Mapped) else forced
        if own is not None and own.fits(header):
            return Recognised("csv", own, head=head, delimiter=delimiter)
    delimiter, widest = max(headers.items(), key=lambda found: len(found[1]))
    known = forced or formats.recognise(_rows_of(lines, delimiter))
    if isinstance(known, Format) and not isinstance(forced, Mapped):
        return Recognised("csv", known, head=head, delimiter=delimiter)
    return unrecognised("csv", refusal.of_csv(widest, list(limits.columns.values())), head)


def _rows_of(lines: Sequence[Line], delimiter: str) -> list[Json]:
    texts = [f"{line.data.decode('utf-8', 'replace')}\n" for line in lines]
    try:
        return list(csv.DictReader(texts, delimiter=delimiter, strict=True))
    except csv.Error:
        return []
