"""Spans and log records as SDKs, backends and tables write them: one reading for all."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import openinference, otel_spans, otlp
from tasks.logs.formats.spans import hex_id
from tasks.logs.shapes.records import Call
from tests.tasks.logs.formats import test_otlp as old
from tests.tasks.logs.formats.reading import calls, one

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
ID = f"{TRACE}:{SPAN}"
BEGIN = 1_700_000_000_250_000_000
AT = datetime(2023, 11, 14, 22, 13, 20, 250_000)  # noqa: DTZ001
FOUND = {
    "gen_ai.operation.name": "chat", "gen_ai.system": "mistral_ai",
    "gen_ai.request.model": "mistral-small", "gen_ai.usage.input_tokens": 11,
    "gen_ai.usage.output_tokens": 7,
}  # fmt: skip
RESOURCE = {"service.name": "shop", "service.version": "7"}
RAISED = {"exception.type": "app.TimeoutError"}


def python_span(**changes: Any) -> dict[str, Any]:
    return {
        "name": "chat mistral-small",
        "context": {"trace_id": f"0x{TRACE}", "span_id": f"0x{SPAN}", "trace_state": "[]"},
        "kind": "SpanKind.CLIENT", "parent_id": f"0x{PARENT}",
        "start_time": "2023-11-14T22:13:20.250000Z", "end_time": "2023-11-14T22:13:22.750000Z",
        "status": {"status_code": "ERROR", "description": "late"}, "attributes": FOUND,
        "events": [{"name": "exception", "timestamp": "2023-11-14T22:13:22Z",
                    "attributes": RAISED}],
        "links": [], "resource": {"attributes": RESOURCE, "schema_url": ""}, **changes,
    }  # fmt: skip


def javascript_console() -> dict[str, Any]:
    return {
        "resource": {"attributes": RESOURCE}, "instrumentationScope": {"name": "x"},
        "traceId": TRACE, "parentSpanContext": {"traceId": TRACE, "spanId": PARENT},
        "name": "chat mistral-small", "id": SPAN, "kind": 2, "timestamp": BEGIN // 1000,
        "duration": 2_500_000, "attributes": FOUND, "status": {"code": 2, "message": "late"},
        "events": [{"name": "exception", "attributes": RAISED, "time": [1_700_000_002, 0]}],
        "links": [],
    }  # fmt: skip


def javascript_span() -> dict[str, Any]:
    return {
        "_spanContext": {"traceId": TRACE, "spanId": SPAN, "traceFlags": 1},
        "parentSpanId": PARENT, "name": "chat mistral-small", "kind": 2,
        "startTime": [1_700_000_000, 250_000_000], "endTime": [1_700_000_002, 750_000_000],
        "attributes": FOUND, "status": {"code": 2, "message": "late"},
        "events": [{"name": "exception", "attributes": RAISED, "time": [1_700_000_002, 0]}],
        "resource": {"_rawAttributes": [[key, item] for key, item in RESOURCE.items()]},
    }  # fmt: skip


def go_pairs(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": {"Type": "STRING", "Value": item}} for key, item in found.items()]


def go_span(**changes: Any) -> dict[str, Any]:
    return {
        "Name": "chat mistral-small",
        "SpanContext": {"TraceID": TRACE, "SpanID": SPAN, "TraceFlags": "01"},
        "Parent": {"TraceID": TRACE, "SpanID": PARENT}, "SpanKind": 3,
        "StartTime": "2023-11-14T23:13:20.25+01:00",
        "EndTime": "2023-11-14T23:13:22.750000123+01:00",
        "Attributes": go_pairs(FOUND), "Links": None,
        "Events": [{"Name": "exception", "Attributes": go_pairs(RAISED),
                    "Time": "2023-11-14T23:13:22+01:00"}],
        "Status": {"Code": "Error", "Description": "late"}, "Resource": go_pairs(RESOURCE),
        **changes,
    }  # fmt: skip


def php_span() -> dict[str, Any]:
    return {
        "name": "chat mistral-small", "context": {"trace_id": TRACE, "span_id": SPAN},
        "resource": RESOURCE, "parent_span_id": PARENT, "kind": "KIND_CLIENT", "start": BEGIN,
        "end": BEGIN + 2_500_000_000, "attributes": FOUND,
        "status": {"code": "Error", "description": "late"}, "links": [],
        "events": [{"name": "exception", "timestamp": BEGIN, "attributes": RAISED}],
    }  # fmt: skip


def table_row() -> dict[str, Any]:
    """As BigQuery has a span: attributes as JSON text, a duration instead of an end."""
    return {
        "trace_id": TRACE, "span_id": SPAN, "parent_span_id": PARENT, "name": "chat mistral-small",
        "kind": 3, "start_time": "2023-11-14 22:13:20.250000 UTC", "duration_nano": 2_500_000_000,
        "attributes": json.dumps(FOUND), "status": {"code": 2, "message": "late"},
        "resource": {"attributes": json.dumps(RESOURCE)},
        "events": [{"time": "2023-11-14 22:13:22 UTC", "name": "exception",
                    "attributes": RAISED}],
    }  # fmt: skip


def in_base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def protobuf_span(**changes: Any) -> dict[str, Any]:
    return {
        "traceId": in_base64(TRACE), "spanId": in_base64(SPAN), "parentSpanId": in_base64(PARENT),
        "name": "chat mistral-small", "startTimeUnixNano": str(BEGIN),
        "endTimeUnixNano": str(BEGIN + 2_500_000_000), "attributes": old.attributes(FOUND),
        "status": {"code": "STATUS_CODE_ERROR", "message": "late"},
        "events": [{"name": "exception", "timeUnixNano": str(BEGIN),
                    "attributes": old.attributes(RAISED)}], **changes,
    }  # fmt: skip


def resource_spans(span: dict[str, Any], scopes: str = "scopeSpans") -> dict[str, Any]:
    return {"resource": {"attributes": old.attributes(RESOURCE)}, scopes: [{"spans": [span]}]}


SHAPES: dict[str, Any] = {
    "python": python_span(), "javascript console": javascript_console(),
    "javascript": javascript_span(), "go": go_span(), "php": php_span(), "table": table_row(),
    "protobuf": {"resourceSpans": [resource_spans(protobuf_span())]},
    "java": resource_spans(protobuf_span()),
    "tempo": {"batches": [resource_spans(protobuf_span(), "instrumentationLibrarySpans")]},
    "tempo 2": {"trace": {"resourceSpans": [resource_spans(protobuf_span())]}, "metrics": {}},
    "jaeger 3": {"result": {"resourceSpans": [resource_spans(protobuf_span())]}},
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_span_is_the_same_call_whoever_writes_it(name: str):
    enveloped = name in ("protobuf", "java", "tempo", "tempo 2", "jaeger 3")
    assert formats.recognise(SHAPES[name]) is (otlp if enveloped else otel_spans)
    assert otlp.matches(SHAPES[name])
    call = one(SHAPES[name])
    assert (call.request_id, call.started_at) == (ID, AT)
    assert call.latency_s == pytest.approx(2.5, abs=1e-6)
    assert (call.provider, call.model, call.release) == ("mistral_ai", "mistral-small", "7")
    assert (call.input_tokens, call.output_tokens, call.operation) == (11, 7, "chat")
    assert (call.status, call.error_type) == ("error", "app.TimeoutError")
    assert call.tags == {
        "service.name": "shop", "parent_span_id": PARENT, "span_name": "chat mistral-small",
        "status_message": "late", "events": [{"name": "exception", **RAISED}],
    }  # fmt: skip


def test_a_search_result_of_tempo_has_the_attributes_that_were_selected():
    span = {"spanID": SPAN, "startTimeUnixNano": str(BEGIN), "durationNanos": "2500000000",
            "attributes": old.attributes(FOUND)}  # fmt: skip
    for found in ({"spanSets": [{"spans": [span], "matched": 1}]}, {"spanSet": {"spans": [span]}}):
        value = {"traces": [{"traceID": TRACE, "rootServiceName": "shop", **found}], "metrics": {}}
        call = one(value)
        assert (call.request_id, call.latency_s, call.input_tokens) == (ID, 2.5, 11)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TRACE, TRACE), (f"0x{SPAN}", SPAN), (SPAN.upper(), SPAN), (in_base64(TRACE), TRACE),
        (base64.urlsafe_b64encode(b"\xfb\xff" * 4).decode(), "fbff" * 4), ("1234567890123456",) * 2,
        ("0" * 16, None), ("0x" + "0" * 16, None), ("", None), (None, None), (7, None), ([], None),
        ("trace_aB", "trace_aB"), ("x=", "x="), ("x", "x"), ("0", None),
    ],
)  # fmt: skip
def test_an_id_has_one_form(given: Any, expected: Any):
    assert hex_id(given) == expected


def test_a_span_without_a_parent_has_none_whatever_stands_for_it():
    for parent in ("0" * 16, "", None, "AAAAAAAAAAA="):
        span = protobuf_span(parentSpanId=parent)
        assert "parent_span_id" not in one({"resourceSpans": [resource_spans(span)]}).tags


def test_a_log_record_as_the_sdk_prints_it():
    def log(**changes: Any) -> dict[str, Any]:
        return {"body": None, "severity_number": None, "attributes": None, "trace_id": f"0x{TRACE}",
                "span_id": f"0x{SPAN}", "timestamp": "2023-11-14T22:13:20.250000Z",
                "resource": {"attributes": RESOURCE}, "event_name": "", **changes}  # fmt: skip

    details = log(event_name="gen_ai.client.inference.operation.details", attributes=FOUND)
    call = one(details)
    assert (call.request_id, call.started_at, call.release) == (ID, AT, "7")
    said = log(event_name="gen_ai.choice", body={"index": 0, "finish_reason": "stop",
               "message": {"role": "assistant", "content": "Ho."}})  # fmt: skip
    call = one(said)
    assert (call.response, call.finish_reason) == ({"role": "assistant", "content": "Ho."}, "stop")


@pytest.mark.parametrize(
    "value",
    [
        {"name": "x", "kind": "Deployment", "status": {}, "attributes": {}},
        {"name": "x", "attributes": {"a": 1}, "events": []},
        {"batches": [{"id": 1}]}, {"traces": [{"id": 1}]}, {"trace": {"id": 1}}, {"result": {}},
        {"SpanContext": {}, "Name": "x"}, {"context.span_id": SPAN}, {"scopeSpans": {}},
        {"body": "x", "severity_number": 9},
    ],
)  # fmt: skip
def test_what_is_no_span_is_not_taken(value: Any):
    assert not otlp.matches(value)
    assert not openinference.matches(value)


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], {}, [[]], [1, "x"], {"a": [1]}])
@pytest.mark.parametrize("make", [python_span, javascript_span, go_span, php_span, table_row])
def test_a_value_of_any_type_in_any_field_is_read_or_refused(make: Any, odd: Any):
    whole = make()
    for key in whole:
        value = {**whole, key: odd}
        if otlp.matches(value):
            assert list(otlp.records(value))


def test_two_calls_where_the_same_is_told_in_base64_and_hexadecimal_share_their_id():
    one_form, other = calls(SHAPES["protobuf"]), calls(SHAPES["python"])
    assert [call.request_id for call in one_form] == [call.request_id for call in other]
    assert isinstance(one_form[0], Call)
