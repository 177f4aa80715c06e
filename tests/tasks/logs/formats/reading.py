"""A file's values read as the pipeline reads them: one by one, and by what assembles them."""

from __future__ import annotations

from typing import Any

from tasks.logs import formats
from tasks.logs.formats import Assembling
from tasks.logs.shapes.records import Call, Record


def records(*values: Any) -> list[Record]:
    return [record for record, _ in placed(*values)]


def placed(*values: Any) -> list[tuple[Record, int]]:
    """With the number of the value that each is of."""
    format = formats.recognise(list(values))
    assert format is not None, "no format recognises it"
    if not isinstance(format, Assembling):
        return [(each, at) for at, value in enumerate(values) for each in format.records(value)]
    reader: Any = format.reader()
    found = [pair for at, value in enumerate(values) for pair in reader.feed(value, at)]
    return [*found, *reader.end()]


def calls(*values: Any) -> list[Call]:
    return [record for record in records(*values) if isinstance(record, Call)]


def one(*values: Any) -> Call:
    (call,) = calls(*values)
    return call
