from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import zipkin
from tasks.logs.shapes.records import Other, UnreadableError
from tests.tasks.logs.formats.reading import calls, one, records

AT = datetime(2023, 11, 14, 22, 13, 20, 250_000)  # noqa: DTZ001
#: all of it text, as Zipkin has it
FOUND = {
    "gen_ai.operation.name": "chat", "gen_ai.system": "az.ai.openai", "gen_ai.request.model": "m",
    "gen_ai.usage.input_tokens": "11", "gen_ai.usage.output_tokens": "7",
    "gen_ai.request.temperature": "0.25", "gen_ai.request.max_tokens": "99",
    "gen_ai.request.stop_sequences": '["a"]', "gen_ai.request.stream": "true",
    "gen_ai.response.finish_reasons": '["length"]', "http.response.status_code": "200",
}  # fmt: skip


def span(**changes: Any) -> dict[str, Any]:
    return {
        "traceId": "43dd8448eb211c80", "parentId": "a902b7", "id": "b7ad6b7169203331",
        "kind": "CLIENT", "name": "chat m", "timestamp": 1_700_000_000_250_000,
        "duration": 1_500_000, "localEndpoint": {"serviceName": "shop"}, "tags": FOUND,
        "annotations": [
            {"timestamp": 1_700_000_001_000_000, "value": "cold start"},
            {"timestamp": 1_700_000_001_000_000,
             "value": '"gen_ai.choice": ' + json.dumps(
                 {"message": '{"role": "assistant", "content": "ho"}'})},
        ],
        **changes,
    }  # fmt: skip


def test_a_span():
    assert formats.recognise(span()) is zipkin
    call = one(span())
    assert call.request_id == "000000000000000043dd8448eb211c80:b7ad6b7169203331"
    assert (call.started_at, call.latency_s, call.http_status) == (AT, 1.5, 200)
    assert (call.provider, call.model, call.finish_reason) == ("azure.ai.openai", "m", "length")
    assert (call.input_tokens, call.output_tokens) == (11, 7)
    assert call.params == {"temperature": 0.25, "max_tokens": 99, "stop": ["a"], "stream": True}
    assert call.response == {"role": "assistant", "content": "ho"}
    assert call.tags == {
        "service.name": "shop", "parent_span_id": "0000000000a902b7", "span_name": "chat m",
        "events": [{"name": "cold start"}],
    }  # fmt: skip


@pytest.mark.parametrize("shape", ["trace", "traces", "lines"])
def test_a_trace_is_a_list_of_spans(shape: str):
    outer = span(id="a902b7", parentId=None, tags={"gen_ai.operation.name": "invoke_agent",
                                                   "session.id": "talk"})  # fmt: skip
    values = [[outer, span()]] if shape == "trace" else [outer, span()]
    if shape == "traces":  # the API's, of two
        values = [[outer, span()], [span(traceId="1" * 32)]]
    found = calls(*values)
    assert found[0].session_id == "talk"
    assert len(found) == (2 if shape == "traces" else 1)
    assert Other() in records(*values)


@pytest.mark.parametrize(
    ("told", "status", "message"),
    [
        ({"error": "late"}, "error", "late"),
        ({"otel.status_code": "ERROR", "error": "late"}, "error", "late"),
        ({"error": "true"}, "error", None), ({"error": "false"}, "ok", None), ({}, "ok", None),
    ],
)  # fmt: skip
def test_a_failed_span(told: dict[str, str], status: str, message: str | None):
    call = one(span(tags={**FOUND, **told}))
    assert (call.status, call.tags.get("status_message")) == (status, message)


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], {}, [[]], [1, "x"], {"a": [1]}])
def test_a_value_of_any_type_in_any_field_is_read_or_refused(odd: Any):
    for key in span():
        value = {**span(), key: odd}
        if zipkin.matches(value):
            assert list(zipkin.records(value))
        assert list(zipkin.records([span(), value]))


@pytest.mark.parametrize("value", [
    5, {}, [], [5], {"traceId": "a", "id": "b", "kind": "x"},
    {"traceId": 1, "id": "b", "timestamp": 1, "kind": "x"},
    {"traceId": "a", "id": "b", "timestamp": "2026-01-01", "kind": "x"},
    {"traceId": "a", "id": "job-7", "timestamp": 1, "kind": "x"},
])  # fmt: skip
def test_what_is_no_span_is_unreadable(value: Any):
    assert not zipkin.matches(value)
    with pytest.raises(UnreadableError):
        list(zipkin.records(value))
