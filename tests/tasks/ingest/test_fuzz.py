"""Mutated lines of every format: no exception but UnreadableError, and every line is counted."""

from __future__ import annotations

import contextlib
import functools
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.ingest import formats
from tasks.ingest.formats import (
    anthropic,
    bedrock,
    canonical,
    envoy,
    kong,
    langfuse,
    litellm,
    mlflow_traces,
    openai_batch,
    openai_chat,
    openai_responses,
    openinference,
    otlp,
    tensorzero,
)
from tasks.ingest.json_text import parse
from tasks.ingest.lines import iterate_lines
from tasks.ingest.opening import LogStream
from tasks.ingest.reading import Reading
from tasks.ingest.records import Call, Dead, Feedback, Other, UnreadableError
from tasks.ingest.rows import Reader, call_row, feedback_row
from tests.tasks.ingest.builders import call, clock
from tests.tasks.ingest.formats import test_anthropic as claude
from tests.tasks.ingest.formats import test_gateways as gateways
from tests.tasks.ingest.formats import test_openai_chat as chat
from tests.tasks.ingest.formats import test_openai_responses as responses
from tests.tasks.ingest.formats import test_otlp as spans
from tests.tasks.ingest.formats import test_traces as traces

SEEDS: dict[str, tuple[ModuleType, list[Any]]] = {
    "canonical": (canonical, [call(1, feedback={"value": 1}, params={"n": 1}, tags={"a": 1})]),
    "openai_chat": (
        openai_chat,
        [
            chat.pair(latency_ms=5, metadata={"a": 1}),
            {"interactions": [chat.exchange()]},
            {
                "request": chat.REQUEST,
                "response": [chat.chunk(content="a"), chat.chunk(finish="stop")],
            },
        ],
    ),
    "otlp": (
        otlp,
        [
            spans.document(
                spans.span(
                    {
                        "gen_ai.output.messages": json.dumps(spans.OUT),
                        "gen_ai.prompt.0.content": "x",
                    },
                    events=[spans.event("gen_ai.evaluation.result"), spans.event("gen_ai.choice")],
                )
            ),
            spans.log("gen_ai.client.inference.operation.details", {"gen_ai.request.model": "m"}),
            traces.otlp_of({"attributes": traces.as_pairs(traces.FLAT)}),
        ],
    ),
    "anthropic": (
        anthropic,
        [
            {"request": claude.REQUEST, "response": claude.MESSAGE},
            claude.MESSAGE,
            {"request": claude.REQUEST, "response": {"body": claude.EVENTS}},
        ],
    ),
    "openai_responses": (
        openai_responses,
        [
            {"request": responses.REQUEST, "response": responses.RESPONSE},
            responses.RESPONSE,
        ],
    ),
    "openai_batch": (
        openai_batch,
        [
            responses.batch(),
            {"custom_id": "a", "result": {"type": "succeeded", "message": claude.MESSAGE}},
        ],
    ),
    "bedrock": (
        bedrock,
        [
            gateways.bedrock_log(body)
            for body in (
                gateways.CLAUDE_CHUNKS,
                gateways.CONVERSE_CHUNKS,
                gateways.LLAMA_CHUNKS,
                {
                    "output": {"message": {"content": [{"text": "Yes"}]}},
                    "usage": {"inputTokens": 1},
                },
            )
        ],
    ),
    "litellm": (litellm, [gateways.litellm_payload()]),
    "envoy": (envoy, [gateways.envoy_log()]),
    "kong": (kong, [gateways.kong_log()]),
    "langfuse": (
        langfuse,
        [
            traces.trace(
                traces.observation("a"),
                traces.observation("b", "a", input=traces.GEMINI),
                scores=[{"name": "x", "value": 1, "observationId": "b"}],
            ),
            traces.observation("z"),
        ],
    ),
    "openinference": (
        openinference,
        [
            {"attributes": traces.FLAT},
            {"attributes": openinference.nested(traces.FLAT)},
        ],
    ),
    "mlflow": (mlflow_traces, [traces.mlflow_trace(assessments=[{"name": "x"}])]),
    "tensorzero": (
        tensorzero,
        [
            {
                "id": "i",
                "function_name": "f",
                "variant_name": "v",
                "output": [{"type": "text"}],
                "input": {"messages": [{"role": "user", "content": [{"type": "template"}]}]},
            },
            {"id": "m", "inference_id": "i", "raw_request": "{}", "raw_response": "{}"},
            {"target_id": "i", "metric_name": "m", "value": True},
        ],
    ),
}
#: formats of which a line may hold no record at all: a cassette or a trace of nothing
ENVELOPES = ("otlp", "openai_chat", "anthropic", "openai_responses", "langfuse", "mlflow")
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
    _read_or_refused(format, data.draw(mutated(seeds)))


@pytest.mark.realdata
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_mutated_real_records_are_read_or_refused(shared: Path, data: st.DataObject):
    value = data.draw(mutated(_real_values(shared)))
    for each in formats.FORMATS:
        if each.matches(value):
            _read_or_refused(each, value)


@functools.cache
def _real_values(shared: Path) -> list[Any]:
    """Every record of the real samples in JSON that a format takes."""
    values = []
    for path in sorted((shared / "log_formats").glob("*/*.json*")):
        lines = [path.read_bytes()] if path.suffix == ".json" else path.read_bytes().splitlines()
        values += [parse(line, 100) for line in lines if line.strip()]
    return [value for value in values if formats.recognise(value)]


def _read_or_refused(format: formats.Format, value: Any) -> None:
    format.matches(value)
    reader = Reader("/a", format.NAME, format.VERSION, "run", clock())
    found: list[Any] = []
    with contextlib.suppress(UnreadableError):
        found.extend(format.records(value))
    for record in found:
        assert isinstance(record, Call | Feedback | Dead | Other)
        if isinstance(record, Call):
            row = call_row(record, "1", reader)
            assert row[0]
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
            assert not json.loads(each.data) or name in ENVELOPES
    assert 0 <= reading.bytes_done <= len(content)
