"""Mutated lines of every format: no exception but UnreadableError, and every line is counted."""

from __future__ import annotations

import contextlib
import io
import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.ingest.formats import canonical, openai_chat, otlp
from tasks.ingest.lines import iterate_lines
from tasks.ingest.opening import LogStream
from tasks.ingest.reading import Reading
from tasks.ingest.records import Call, Dead, Feedback, Other, UnreadableError
from tasks.ingest.rows import Reader, call_row, feedback_row
from tests.tasks.ingest.builders import call, clock
from tests.tasks.ingest.formats import test_openai_chat as chat
from tests.tasks.ingest.formats import test_otlp as spans

SEEDS: dict[str, tuple[ModuleType, list[Any]]] = {
    "canonical": (canonical, [call(1, feedback={"value": 1}, params={"n": 1}, tags={"a": 1})]),
    "openai_chat": (openai_chat, [
        chat.pair(latency_ms=5, metadata={"a": 1}), {"interactions": [chat.exchange()]},
        {"request": chat.REQUEST, "response": [chat.chunk(content="a"), chat.chunk(finish="stop")]},
    ]),
    "otlp": (otlp, [
        spans.document(spans.span(
            {"gen_ai.output.messages": json.dumps(spans.OUT), "gen_ai.prompt.0.content": "x"},
            events=[spans.event("gen_ai.evaluation.result"), spans.event("gen_ai.choice")],
        )),
        spans.log("gen_ai.client.inference.operation.details", {"gen_ai.request.model": "m"}),
    ]),
}  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(-1e300, 1e300),
    st.text(max_size=8),
    st.sampled_from([[], {}, [{}], "[{}]", {"a": []}]).map(lambda v: json.loads(json.dumps(v))),
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, seeds: list[Any]) -> Any:
    value = json.loads(json.dumps(draw(st.sampled_from(seeds))))
    for _ in range(draw(st.integers(1, 4))):
        holder = value
        while True:
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            if not keys:
                break
            key = draw(st.sampled_from(list(keys)))
            if isinstance(holder[key], dict | list) and draw(st.integers(0, 9)):
                holder = holder[key]
                continue
            if isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
                holder[draw(st.sampled_from(["id", "role", "content", "x"]))] = holder.pop(key)
            else:
                holder[key] = draw(ODD)
            break
    return value


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mutated_record_is_read_or_refused_and_fits_the_store(name: str, data: st.DataObject):
    format, seeds = SEEDS[name]
    value = data.draw(mutated(seeds))
    format.matches(value)
    reader = Reader("/a", name, format.VERSION, "run", clock())
    found: list[Any] = []
    with contextlib.suppress(UnreadableError):
        found.extend(format.records(value))
    for record in found:
        assert isinstance(record, Call | Feedback | Dead | Other)
        if isinstance(record, Call):
            row = call_row(record, "1", reader)
            assert row["request_id"]
            assert all(feedback_row(each, "1", reader)["kind"] for each in record.feedback)


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_bytes_changed_anywhere_never_raise_and_every_line_is_counted(
    name: str, data: st.DataObject
):
    format, seeds = SEEDS[name]
    whole = bytearray(b"\n".join(json.dumps(seed).encode() for seed in seeds * 2))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    content = bytes(whole)
    stream = LogStream(io.BytesIO(content), len(content), 10**9, 1e9)
    reading = Reading(format, 10**6, 100)
    located = list(reading.lines(stream))
    assert not [x for x in located if "the parser broke" in getattr(x.record, "error", "")]
    if stream.is_compressed:
        return
    seen = {each.line_number for each in located}
    for each in iterate_lines(io.BytesIO(content), 10**6):
        if each.data.strip() and each.number not in seen:
            # only a whole line of nothing may leave no record: [] or an envelope without spans
            assert not json.loads(each.data) or name in ("otlp", "openai_chat")
    assert 0 <= reading.bytes_done <= len(content)
