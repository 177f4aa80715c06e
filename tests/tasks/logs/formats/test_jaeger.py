from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import jaeger
from tasks.logs.shapes.records import Dead, Feedback, Other, UnreadableError
from tests.tasks.logs.formats.reading import calls, one, records

TRACE, OUTER, INNER = "af7651916cd43dd8448eb211c80319c", "f067aa0ba902b7", "b7ad6b7169203331"
ID = f"0{TRACE}:{INNER}"
AT = datetime(2023, 11, 14, 22, 13, 20, 250_000)  # noqa: DTZ001
FOUND = {
    "gen_ai.operation.name": "chat", "gen_ai.system": "anthropic", "gen_ai.request.model": "c-1",
    "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7,
    "gen_ai.request.temperature": 0.25, "gen_ai.request.stream": True,
    "gen_ai.response.finish_reasons": '["end_turn"]', "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "hi", "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "ho", "traceloop.association.properties.user_id": "ann",
    "traceloop.association.properties.session_id": "talk",
}  # fmt: skip


def tags(found: dict[str, Any], as_text: bool = False) -> list[dict[str, Any]]:
    kinds = {bool: "bool", int: "int64", float: "float64", str: "string"}
    return [
        {"key": key, "type": kinds[type(item)],
         "value": json.dumps(item) if as_text and not isinstance(item, str) else item}
        for key, item in found.items()
    ]  # fmt: skip


def span(**changes: Any) -> dict[str, Any]:
    return {
        "traceID": TRACE, "spanID": INNER, "operationName": "anthropic.chat",
        "references": [{"refType": "FOLLOWS_FROM", "traceID": TRACE, "spanID": "9"},
                       {"refType": "CHILD_OF", "traceID": TRACE, "spanID": OUTER}],
        "startTime": 1_700_000_000_250_000, "duration": 1_500_001,
        "tags": tags({**FOUND, "span.kind": "client", "internal.span.format": "otlp",
                      "otel.scope.name": "x", "team": "a"}),
        "logs": [{"timestamp": 1_700_000_001_000_000, "fields": tags(
            {"event": "gen_ai.evaluation.result", "gen_ai.evaluation.name": "tone",
             "gen_ai.evaluation.score.value": 0.5})}],
        "processID": "p1", "warnings": None, **changes,
    }  # fmt: skip


def agent() -> dict[str, Any]:
    return span(spanID=OUTER, references=[], tags=tags({"gen_ai.operation.name": "invoke_agent"}),
                logs=[])  # fmt: skip


def export(*spans: Any, **changes: Any) -> dict[str, Any]:
    process = {"serviceName": "shop", "tags": tags({"service.version": "7"})}
    return {"data": [{"traceID": TRACE, "spans": list(spans), "processes": {"p1": process}}],
            "total": 0, "errors": None, **changes}  # fmt: skip


@pytest.mark.parametrize("in_page", [True, False])
def test_a_trace_of_the_ui(in_page: bool):
    value = export(agent(), span())
    value = value if in_page else value["data"][0]
    assert formats.recognise(value) is jaeger
    other, call = records(value)
    assert other == Other()
    assert call == one(value)
    assert (call.request_id, call.started_at, call.latency_s) == (ID, AT, 1.500001)
    assert (call.provider, call.model, call.release) == ("anthropic", "c-1", "7")
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (11, 7, "stop")
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "ho"}
    assert call.params == {"temperature": 0.25, "stream": True}
    assert (call.session_id, call.user, call.status) == ("talk", "ann", "ok")
    assert call.tags == {"service.name": "shop", "team": "a", "span_name": "anthropic.chat",
                         "parent_span_id": f"00{OUTER}"}  # fmt: skip
    (judged,) = call.feedback
    assert isinstance(judged, Feedback)
    assert (judged.kind, judged.value) == ("tone", 0.5)


def test_a_document_of_an_index_has_its_process_and_typed_texts():
    process = {"serviceName": "shop", "tag": {"service@version": "7"}}
    listed = span(process=process, tags=tags(FOUND, as_text=True), parentSpanID=OUTER)
    as_fields = span(process=process, tags=[], references=[],
                     tag={key.replace(".", "@"): item for key, item in FOUND.items()})  # fmt: skip
    for value in (listed, as_fields):
        call = one({**value, "startTimeMillis": 1_700_000_000_250})
        assert (call.request_id, call.started_at, call.release) == (ID, AT, "7")
        assert (call.input_tokens, call.params) == (11, {"temperature": 0.25, "stream": True})


def test_a_trace_frame_of_grafana_is_in_milliseconds():
    value = {
        "traceID": TRACE, "spanID": INNER, "parentSpanID": OUTER, "operationName": "chat",
        "serviceName": "shop", "startTime": 1_700_000_000_250, "duration": 1500.5,
        "serviceTags": [{"key": "service.version", "value": "7"}], "statusCode": 2,
        "statusMessage": "late", "logs": [],
        "tags": [{"key": key, "value": item} for key, item in FOUND.items()],
    }  # fmt: skip
    in_csv = {key: json.dumps(item) if isinstance(item, list) else item
              for key, item in value.items()}  # fmt: skip
    for each in (value, in_csv):
        call = one(each)
        assert (call.request_id, call.started_at, call.latency_s) == (ID, AT, 1.5005)
        assert (call.status, call.tags["status_message"], call.release) == ("error", "late", "7")


@pytest.mark.parametrize(
    ("told", "error_type", "message"),
    [
        ({"otel.status_code": "ERROR", "otel.status_description": "late", "error": True},
         "_OTHER", "late"),
        ({"error": True}, "_OTHER", None),
        ({"error": "late", "error.type": "TimeoutError"}, "TimeoutError", "late"),
        ({"error": "true"}, "_OTHER", None),
        ({"error": False}, None, None), ({"otel.status_code": "OK", "error": True}, None, None),
    ],
)  # fmt: skip
def test_a_failed_span(told: dict[str, Any], error_type: str | None, message: str | None):
    call = one(export(span(tags=tags({**FOUND, **told}))))
    assert (call.error_type, call.tags.get("status_message")) == (error_type, message)
    assert call.status == ("ok" if error_type is None else "error")
    assert "error" not in call.tags


def test_spans_of_an_index_in_several_values_are_one_trace():
    lines = [span(process={"serviceName": "a"}), span(spanID=OUTER, references=[])]
    assert [call.request_id for call in calls(*lines)] == [ID]


def test_what_is_no_span_in_a_trace_is_a_dead_letter():
    found = records(export(span(), 5, span(tags=[{"value": 1}]), span(startTime="soon")))
    assert [type(record).__name__ for record in found] == ["Call", "Dead", "Dead", "Dead"]
    assert all(isinstance(record, Dead) for record in found[1:])


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], {}, [[]], [1, "x"], {"a": [1]}])
def test_a_value_of_any_type_in_any_field_is_read_or_refused(odd: Any):
    for key in span():
        for value in (export({**span(), key: odd}), {**span(), key: odd}):
            if jaeger.matches(value):
                assert list(jaeger.records(value))
    for key in ("traceID", "processes", "spans"):
        trace = {**export(span())["data"][0], key: odd}
        if jaeger.matches(trace):
            assert list(jaeger.records(trace))


@pytest.mark.parametrize("value", [5, {}, {"data": []}, {"data": {}}, {"traceID": "a", "spans": []},
                                   {"traceID": "a", "spanID": "b"}])  # fmt: skip
def test_what_is_no_trace_is_unreadable(value: Any):
    assert not jaeger.matches(value)
    with pytest.raises(UnreadableError):
        list(jaeger.records(value))
