"""CSV and other delimited text → rows as objects, with the bytes of each.

The delimiter is that of the header (comma, semicolon, tab or bar). Quoted fields may run over
lines. A row with too many or too few fields is unreadable, and says so.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.ingest.lines import MAX_KEPT_BYTES, Readable, iterate_lines
from tasks.ingest.records import Json

# a field may be as long as a line, which is bounded
csv.field_size_limit(2**31 - 1)
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Row:
    """`value` None: `error` says why the row cannot be read."""

    value: dict[str, Json] | None
    error: str
    line_number: int
    byte_offset: int
    raw: bytes


def header_of(line: bytes) -> list[str]:
    """The names of the columns; one name only where there is no delimiter."""
    text = line.decode("utf-8-sig", "replace")
    try:
        return [name.strip() for name in next(csv.reader([text], delimiter=_delimiter(text)), [])]
    except csv.Error:
        return [text]


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def rows_of(stream: Readable, max_line_bytes: int) -> Iterator[Row]:
    """Every row after the header, in order."""
    names: list[str] = []
    delimiter = ","
    held: list[bytes] = []
    size = quotes = first = offset = 0
    for line in iterate_lines(stream, max_line_bytes):
        if not names:
            if line.data.strip():
                names = header_of(line.data)
                delimiter = _delimiter(line.data.decode("utf-8-sig", "replace"))
            continue
        if not held:
            size = quotes = 0
            first, offset = line.number, line.offset
        held.append(line.data)
        size += line.length
        quotes += line.data.count(b'"')
        # an odd number of quotes: the field goes on in the next line
        if quotes % 2 and line.ended and size <= max_line_bytes:
            continue
        raw, held = b"\n".join(held), []
        if size > max_line_bytes:
            yield Row(None, f"a row of {size} bytes", first, offset, raw[:MAX_KEPT_BYTES])
        elif raw.strip():
            yield _row(names, raw, delimiter, first, offset)
    if held:
        raw = b"\n".join(held)
        yield Row(None, "a quoted field is not closed", first, offset, raw[:MAX_KEPT_BYTES])


def _row(names: list[str], raw: bytes, delimiter: str, number: int, offset: int) -> Row:
    kept = raw[:MAX_KEPT_BYTES]
    try:
        text = raw.decode("utf-8")
        found = list(csv.reader([text], delimiter=delimiter, strict=True))
    except UnicodeDecodeError as wrong:
        reason = f"not UTF-8: byte 0x{raw[wrong.start]:02x} at byte {wrong.start} of the row"
        return Row(None, reason, number, offset, kept)
    except csv.Error as error:
        return Row(None, f"not CSV: {error}", number, offset, kept)
    fields = [field for each in found for field in each]
    if len(fields) != len(names):
        reason = f"{len(fields)} fields where the header has {len(names)}"
        return Row(None, reason, number, offset, kept)
    return Row(dict(zip(names, fields, strict=True)), "", number, offset, kept)
