from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import otel_traces
from tasks.logs.shapes.records import Dead, UnreadableError
from tests.tasks.logs.formats.reading import calls, one, records

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FOUND = {
    "gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "m",
    "gen_ai.usage.input_tokens": "11", "gen_ai.usage.output_tokens": "7",
    "gen_ai.request.temperature": "0.25", "gen_ai.response.finish_reasons": '["stop"]',
    "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "it's\n{'a':'b'}, \\ and é",
}  # fmt: skip
RAISED = {"exception.type": "app.Late"}


def in_clickhouse(found: dict[str, str]) -> str:
    """As CSV has a map."""

    def quoted(text: str) -> str:
        for raw, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n")):
            text = text.replace(raw, escaped)
        return f"'{text}'"

    return "{" + ",".join(f"{quoted(key)}:{quoted(item)}" for key, item in found.items()) + "}"


def row(**changes: Any) -> dict[str, Any]:
    return {
        "Timestamp": "2023-11-14 22:13:20.250000123", "TraceId": TRACE, "SpanId": SPAN,
        "ParentSpanId": "", "TraceState": "", "SpanName": "chat m", "SpanKind": "Client",
        "ServiceName": "shop", "ResourceAttributes": {"service.version": "7"}, "ScopeName": "",
        "ScopeVersion": "", "SpanAttributes": FOUND, "Duration": 1_500_000_000,
        "StatusCode": "Error", "StatusMessage": "late", "Events.Timestamp": ["2023-11-14 22:13:21"],
        "Events.Name": ["exception"], "Events.Attributes": [RAISED], "Links.TraceId": [],
        **changes,
    }  # fmt: skip


MAPS: dict[str, Any] = {
    "object": lambda found: found, "JSON text": json.dumps,
    "pairs": lambda found: [[key, item] for key, item in found.items()],
    "keys and values": lambda found: [{"key": key, "value": item} for key, item in found.items()],
    "clickhouse": in_clickhouse,
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_a_row(name: str):
    as_map = MAPS[name]
    value = row(SpanAttributes=as_map(FOUND), ResourceAttributes=as_map({"service.version": "7"}),
                **{"Events.Attributes": [as_map(RAISED)]})  # fmt: skip
    assert formats.recognise(value) is otel_traces
    call = one(value)
    assert call.request_id == f"{TRACE}:{SPAN}"
    assert call.started_at == datetime(2023, 11, 14, 22, 13, 20, 250_000)  # noqa: DTZ001
    assert (call.latency_s, call.provider, call.model, call.release) == (1.5, "openai", "m", "7")
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (11, 7, "stop")
    assert call.params == {"temperature": 0.25}
    assert call.messages == [{"role": "user", "content": FOUND["gen_ai.prompt.0.content"]}]
    assert (call.status, call.error_type) == ("error", "app.Late")
    assert call.tags["service.name"] == "shop"
    assert "parent_span_id" not in call.tags


def test_events_may_be_one_column_of_objects_and_all_may_be_text():
    event = {"Timestamp": "2023-11-14 22:13:21", "Name": "exception", "Attributes": RAISED}
    bare = {key: item for key, item in row().items() if not key.startswith("Events.")}
    for events in ([event], json.dumps([event])):
        assert one({**bare, "Events": events}).error_type == "app.Late"
    empty = {"Events.Name": "[]", "Events.Timestamp": "[]", "Events.Attributes": "[]"}
    texts = row(Duration="1500000000", StatusCode="STATUS_CODE_UNSET", StatusMessage="", **empty)
    assert (one(texts).latency_s, one(texts).status) == (1.5, "ok")


def test_rows_of_one_trace_are_read_together():
    outer = row(SpanId="a" * 16)
    assert [call.request_id for call in calls(row(ParentSpanId="a" * 16), outer)] == [
        f"{TRACE}:{SPAN}"
    ]


@pytest.mark.parametrize("broken", ["{'a':'b'", "{'a' 'b'}", "{'a':'b';'c':'d'}", "{'a':'b", "x"])
def test_a_map_that_is_none_is_a_dead_letter(broken: str):
    (found,) = records(row(SpanAttributes=broken))
    assert isinstance(found, Dead)


def test_an_endless_quotation_takes_no_time():
    (found,) = records(row(SpanAttributes="{'" + "\\'" * 200_000 + "}"))
    assert isinstance(found, Dead)


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], {}, [[]], [1, "x"], {"a": [1]}])
def test_a_value_of_any_type_in_any_field_is_read_or_refused(odd: Any):
    for key in row():
        assert list(otel_traces.records({**row(), key: odd}))


@pytest.mark.parametrize("value", [5, {}, [], {"TraceId": "a", "SpanId": "b"}])
def test_what_is_no_row_is_unreadable(value: Any):
    assert not otel_traces.matches(value)
    with pytest.raises(UnreadableError):
        list(otel_traces.records(value))
