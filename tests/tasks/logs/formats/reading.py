"""A file's values read as the pipeline reads them: one by one, and by what assembles them."""

from __future__ import annotations

from typing import Any

from tasks.logs import formats
from tasks.logs.formats import Assembling
from tasks.logs.shapes.records import Call, Dead, Record, UnreadableError


def records(*values: Any) -> list[Record]:
    return [record for record, _ in placed(*values)]


def placed(*values: Any) -> list[tuple[Record, int]]:
    """With the number of the value that each is of."""
    format = formats.recognise(list(values))
    assert format is not None, "no format recognises it"
    reader: Any = format.reader() if isinstance(format, Assembling) else None
    found: list[tuple[Record, int]] = []
    for at, value in enumerate(values):
        try:
            if reader is not None:
                found.extend(reader.feed(value, at))
            else:
                found.extend((each, at) for each in format.records(value))
        except UnreadableError as error:
            found.append((Dead(str(error)), at))
    return [*found, *(reader.end() if reader is not None else ())]


def calls(*values: Any) -> list[Call]:
    return [record for record in records(*values) if isinstance(record, Call)]


def one(*values: Any) -> Call:
    (call,) = calls(*values)
    return call
