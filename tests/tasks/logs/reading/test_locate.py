from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from tasks.logs.files.opening import LogStream
from tasks.logs.reading.locate import Reading
from tasks.logs.reading.taking import Way
from tasks.logs.shapes.records import Call, Dead
from tasks.settings import IngestSettings


def stream(data: bytes) -> LogStream:
    return LogStream(io.BytesIO(data), len(data), 10**9, 1e9)


def broken_parser(value: Any) -> Iterator[Call]:
    if value == 1:
        raise KeyError("oops")
    yield Call(request_id=str(value))


def test_a_bug_in_a_parser_costs_one_record_not_the_file():
    format: Any = SimpleNamespace(NAME="broken", matches=lambda _: True, records=broken_parser)
    reading = Reading(Way(format), IngestSettings())
    records = [each.record for each in reading.lines(stream(b"1\n2\n[1,3]\n"))]
    assert [type(each) for each in records] == [Dead, Call, Dead, Call]
    assert "the parser broke: KeyError" in records[0].error
    assert records[2].raw == b"1"


def test_every_record_of_a_document_has_its_place():
    format: Any = SimpleNamespace(NAME="broken", matches=lambda _: True, records=broken_parser)
    reading = Reading(Way(format), IngestSettings())
    located = list(reading.documents([[2, 1]], 50))
    assert [(each.place, each.line_number, each.raw) for each in located] == [
        ("#1", None, b""), ("#2", None, b"1"),
    ]  # fmt: skip
    assert reading.bytes_done == 50
    (dead,) = reading.documents([1], 50)
    assert dead.raw == b"1"
