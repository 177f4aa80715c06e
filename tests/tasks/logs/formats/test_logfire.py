from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import logfire
from tasks.logs.shapes.records import Dead, Other, UnreadableError
from tests.tasks.logs.formats.reading import calls, one, records

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
ID = f"{TRACE}:{SPAN}"
AT = datetime(2023, 11, 14, 22, 13, 20, 250_000)  # noqa: DTZ001
FOUND = {
    "gen_ai.operation.name": "chat", "gen_ai.system": "google-gla", "gen_ai.request.model": "g-2",
    "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7, "operation.cost": 0.25,
    "gen_ai.usage.details.thoughts_tokens": 3, "gen_ai.conversation.id": "talk", "team": "a",
    "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
    "gen_ai.output.messages": [{"role": "assistant", "finish_reason": "stop", "parts": [
        {"type": "text", "content": "ho"}]}],
}  # fmt: skip


def row(**changes: Any) -> dict[str, Any]:
    return {
        "start_timestamp": "2023-11-14T22:13:20.250000Z", "end_timestamp": None,
        "created_at": "2023-11-14T22:13:22Z", "kind": "span", "trace_id": TRACE, "span_id": SPAN,
        "parent_span_id": PARENT, "span_name": "chat g-2", "message": "chat g-2", "level": 9,
        "duration": 1.5, "is_exception": False, "exception_type": None, "tags": ["night"],
        "service_name": "shop", "service_version": "7", "deployment_environment": "prod",
        "otel_scope_name": "pydantic-ai", "otel_status_code": None, "otel_events": [],
        "otel_resource_attributes": {"service.name": "shop", "process.pid": 1},
        "http_response_status_code": None, "attributes": FOUND, **changes,
    }  # fmt: skip


def in_csv(given: dict[str, Any]) -> dict[str, str]:
    return {
        key: "" if item is None else json.dumps(item) if isinstance(item, dict | list)
        else str(item).lower() if isinstance(item, bool) else str(item)
        for key, item in given.items()
    }  # fmt: skip


def as_columns(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"columns": [{"name": name, "datatype": "x", "values": [each[name] for each in rows]}
                        for name in rows[0]]}  # fmt: skip


ROWS: dict[str, Any] = {
    "object": row(), "text": row(attributes=json.dumps(FOUND)), "csv": in_csv(row()),
    "rows": {"columns": [{"name": "span_name"}], "rows": [row()]}, "columns": as_columns(row()),
    "few columns": {key: row()[key] for key in (
        "trace_id", "span_id", "parent_span_id", "span_name", "attributes", "start_timestamp",
        "duration", "service_name", "service_version", "deployment_environment", "tags")},
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_row(name: str):
    assert formats.recognise(ROWS[name]) is logfire
    call = one(ROWS[name])
    assert (call.request_id, call.started_at, call.latency_s) == (ID, AT, 1.5)
    assert (call.provider, call.model, call.release) == ("gcp.gemini", "g-2", "7")
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (11, 7, 0.25)
    assert (call.messages, call.finish_reason) == ([{"role": "user", "content": "hi"}], "stop")
    assert (call.response, call.session_id) == ({"role": "assistant", "content": "ho"}, "talk")
    assert (call.status, call.error_type) == ("ok", None)
    assert call.tags == {
        "service.name": "shop", "deployment.environment.name": "prod", "span_name": "chat g-2",
        "parent_span_id": PARENT, "team": "a", "logfire.tags": ["night"],
        "gen_ai.usage.details.thoughts_tokens": 3,
    }  # fmt: skip


def test_a_column_that_is_not_logfires_is_a_tag():
    assert one(row(tenant="north")).tags["tenant"] == "north"


@pytest.mark.parametrize(
    ("changes", "status", "error_type"),
    [
        ({"otel_status_code": "ERROR", "is_exception": True, "exception_type": "app.Late"},
         "error", "app.Late"),
        ({"is_exception": True, "exception_type": "app.Late", "level": 17}, "error", "app.Late"),
        ({"is_exception": "true", "exception_type": "app.Late", "level": "error"},
         "error", "app.Late"),
        ({"otel_status_code": "OK", "is_exception": True, "exception_type": "app.Late", "level": 9},
         "ok", None),
        ({"otel_status_code": "ERROR", "otel_events": json.dumps([
            {"event_name": "exception", "event_timestamp": "2023-11-14T22:13:21Z",
             "attributes": {"exception.type": "Other"}}])}, "error", "Other"),
        ({"http_response_status_code": 429}, "error", "429"),
    ],
)  # fmt: skip
def test_a_failed_row(changes: dict[str, Any], status: str, error_type: str | None):
    call = one(row(**changes))
    assert (call.status, call.error_type) == (status, error_type)


@pytest.mark.parametrize("duration", [1e300, -1e300, "1e308", 2**64 - 1])
def test_a_span_that_lasted_beyond_all_numbers_is_told(duration: Any):
    (record,) = records(row(duration=duration))
    assert isinstance(record, Dead)
    assert "beyond 64 bits" in record.error


def test_a_row_written_when_a_span_begins_is_none():
    assert records(row(kind="pending_span"), row(span_id=PARENT))[0] == Other()
    assert len(calls(row(kind="pending_span"), row(span_id=PARENT, parent_span_id=None))) == 1


#: of Logfire's own instrumentation of a client
REQUEST = {"messages": [{"role": "user", "content": "hi"}], "model": "m", "temperature": 0.5}
OWN = {"gen_ai.system": "openai", "gen_ai.request.model": "m", "async": False}


def test_request_and_response_as_the_client_had_them():
    found = {**OWN, "request_data": REQUEST, "gen_ai.response.model": "m-1",
             "response_data": {"message": {"role": "assistant", "content": "ho"},
                               "usage": {"prompt_tokens": 3}}}  # fmt: skip
    call = one(row(attributes=found))
    assert (call.messages, call.params) == (REQUEST["messages"], {"temperature": 0.5})
    assert (call.response, call.model) == ({"role": "assistant", "content": "ho"}, "m-1")
    embedded = {**OWN, "request_data": {"input": "hi", "model": "m"},
                "response_data": {"usage": {"prompt_tokens": 3}}}  # fmt: skip
    assert (one(row(attributes=embedded)).status, one(row(attributes=embedded)).response) == (
        "ok", None,
    )  # fmt: skip


def test_of_a_stream_the_answer_is_in_a_log_record_beside_the_span():
    asked = {**OWN, "request_data": {**REQUEST, "stream": True}}
    said = {**asked, "duration": 2.0,
            "response_data": {"combined_chunk_content": "ho", "chunk_count": 2}}  # fmt: skip
    log = row(kind="log", duration=None, span_id="c" * 16, attributes=said,
              end_timestamp=row()["start_timestamp"])  # fmt: skip
    call = one(row(attributes=asked), log)
    assert (call.response, call.latency_s) == ({"role": "assistant", "content": "ho"}, 2.0)
    assert call.started_at == datetime(2023, 11, 14, 22, 13, 18, 250_000)  # noqa: DTZ001
    assert call.params == {"temperature": 0.5, "stream": True}
    failed = row(attributes=asked, otel_status_code="ERROR")
    assert (one(failed).status, one(failed).messages) == ("error", REQUEST["messages"])


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], {}, [[]], [1, "x"], {"a": [1]}])
def test_a_value_of_any_type_in_any_field_is_read_or_refused(odd: Any):
    for key in row():
        for value in ({**row(), key: odd}, {"columns": [], "rows": [{**row(), key: odd}, row()]}):
            if logfire.matches(value):
                assert list(logfire.records(value))


@pytest.mark.parametrize("value", [
    5, {}, {"columns": []}, {"columns": [], "rows": [5]}, {"columns": [5]},
    {"span_name": "x", "attributes": "x", "trace_id": "y"}, {"span_name": "x", "attributes": {}},
])  # fmt: skip
def test_what_is_no_row_is_unreadable(value: Any):
    assert not logfire.matches(value)
    with pytest.raises(UnreadableError):
        list(logfire.records(value))


def test_a_row_that_is_none_among_others_is_a_dead_letter():
    found = records({"columns": [], "rows": [row(), 5]})
    assert isinstance(found[1], Dead)
