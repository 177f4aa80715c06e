"""Real samples, mutated: every parser goes on, and no record falls between the counts."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.logs import formats
from tasks.logs.files.opening import LogStream
from tasks.logs.reading.line_text import json_in
from tasks.logs.reading.locate import Located, Reading
from tasks.logs.reading.taking import Way
from tasks.logs.reading.yaml_text import parse_yaml
from tasks.logs.shapes.records import Call, Dead
from tasks.logs.shapes.rows import Provenance, call_values
from tasks.settings import IngestSettings
from tests.tasks.ingest.test_realdata import FILES
from tests.tasks.logs.builders import clock
from tests.tasks.logs.test_fuzz import mutated

pytestmark = pytest.mark.realdata


@functools.cache
def records_of(path: Path) -> list[Any]:
    data = path.read_bytes()
    if path.suffix == ".yaml":
        return [parse_yaml(data, 100)]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in data.splitlines()]
    return [json.loads(data)]


def check(located: list[Located], name: str, version: str) -> None:
    broke = [each for each in located if "the parser broke" in getattr(each.record, "error", "")]
    assert not broke, broke[0].record
    for each in located:
        if isinstance(each.record, Call):
            row = call_values(each.record, "1", Provenance("/a", name, version, "r", clock()))
            assert row[0]
        elif isinstance(each.record, Dead):
            assert each.raw or each.record.error


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_values(name: str, data: st.DataObject, shared: Path):
    format = formats.by_name(FILES[name][0])
    assert isinstance(format, formats.Format)
    value = data.draw(mutated(records_of(shared / "log_formats" / name)))
    format.matches(value)
    located = list(Reading(Way(format), IngestSettings()).documents([value], 1))
    assert located or value in ([], {}) or isinstance(value, dict)
    check(located, format.NAME, format.VERSION)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_bytes_as_lines(name: str, data: st.DataObject, shared: Path):
    """A line that is no JSON, and has none in it, is dead."""
    format = formats.by_name(FILES[name][0])
    assert isinstance(format, formats.Format)
    lines = [json.dumps(each).encode() for each in records_of(shared / "log_formats" / name)]
    whole = bytearray(b"\n".join(lines) + b"\n")
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    content = bytes(whole)
    stream = LogStream(io.BytesIO(content), len(content), 10**9, 1e9)
    located = list(Reading(Way(format), IngestSettings()).lines(stream))
    check(located, format.NAME, format.VERSION)
    dead = {each.line_number for each in located if isinstance(each.record, Dead)}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip() and not stream.is_encoded:
            try:
                json.loads(line)
            except (ValueError, RecursionError):
                assert number in dead or json_in(line) is not None
