"""What the spans of one trace tell about each other, in one value or in several."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs.formats import gathering, trace_reading
from tasks.logs.shapes.records import Call, Other
from tests.tasks.logs.formats import test_otlp as old
from tests.tasks.logs.formats import test_span_shapes as shapes
from tests.tasks.logs.formats.reading import calls, placed, records

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
ASKED = [{"role": "assistant", "parts": [
    {"type": "tool_call", "id": "c1", "name": "find", "arguments": {"q": "x"}},
    {"type": "tool_call", "id": "c2", "name": "book", "arguments": {}}]}]  # fmt: skip


def span(number: int, parent: int | None, found: dict[str, Any], **fields: Any) -> dict[str, Any]:
    start = 1_700_000_000_000_000_000 + number * 1_000_000_000
    return {
        "traceId": "a" * 32, "spanId": f"{number:016x}", "name": f"span {number}", "kind": 1,
        "parentSpanId": "" if parent is None else f"{parent:016x}",
        "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 500_000_000),
        "attributes": old.attributes(found), **fields,
    }  # fmt: skip


def agent(number: int = 1, **found: Any) -> dict[str, Any]:
    return span(number, None, {"gen_ai.operation.name": "invoke_agent", **found})


def chat(number: int, parent: int | None = 1, **found: Any) -> dict[str, Any]:
    return span(number, parent, {**CHAT, **found})


def ways(*spans: dict[str, Any]) -> list[list[Any]]:
    """One document; one span a line; one span a line, the parents last."""
    return [[old.document(*spans)], [*spans], [*reversed(spans)]]


@pytest.mark.parametrize("way", range(3))
def test_the_inner_of_two_calls_counts_also_line_by_line(way: int):
    found = records(*ways(agent(), chat(2), chat(3, 2))[way])
    assert [call.request_id for call in found if isinstance(call, Call)] == [f"{'a' * 32}:{3:016x}"]
    assert [record for record in found if isinstance(record, Other)] == [Other(), Other()]


@pytest.mark.parametrize("way", range(3))
def test_session_and_user_of_a_span_around_a_call_are_those_of_the_call(way: int):
    outer = agent(**{"gen_ai.conversation.id": "talk", "user.id": "ann"})
    own = chat(4, 2, **{"session.id": "own"})
    found = calls(*ways(outer, span(2, 1, {"gen_ai.operation.name": "task"}), chat(3, 2), own)[way])
    assert {(call.session_id, call.user) for call in found} == {("talk", "ann"), ("own", "ann")}


def test_a_span_without_an_id_is_around_none():
    bare = agent(**{"session.id": "talk"})
    del bare["spanId"]
    assert [call.session_id for call in calls(old.document(bare, chat(2, None)))] == [None]


def test_a_ring_of_parents_ends():
    found = calls(old.document(chat(2, 3), chat(3, 2), agent(9, **{"session.id": "s"})))
    assert found == []  # each is around the other: a span that says so is no call


@pytest.mark.parametrize("way", range(3))
def test_what_tools_gave_back_is_kept_with_the_call_that_asked(way: int):
    tool = {"gen_ai.operation.name": "execute_tool"}
    asking = chat(2, 1, **{"gen_ai.output.messages": json.dumps(ASKED)})
    found = span(3, 1, {**tool, "gen_ai.tool.name": "find", "gen_ai.tool.call.id": "c1",
                        "gen_ai.tool.call.result": '{"n": 3}',
                        "gen_ai.tool.call.arguments": '{"q": "x"}'})  # fmt: skip
    failed = span(4, 1, {**tool, "gen_ai.tool.name": "book", "gen_ai.tool.call.id": "c2",
                         "error.type": "Full"}, status={"code": 2})  # fmt: skip
    (call,) = calls(*ways(agent(), asking, found, failed)[way])
    assert call.tags["tool_results"] == [
        {"tool_call_id": "c1", "name": "find", "arguments": {"q": "x"}, "result": {"n": 3}},
        {"tool_call_id": "c2", "name": "book", "error": "Full"},
    ]


@pytest.mark.parametrize("way", range(3))
def test_a_tool_span_without_an_id_goes_to_the_call_before_it_that_named_it(way: int):
    said = json.dumps([{**ASKED[0], "parts": [ASKED[0]["parts"][0]]}])
    first, second = (chat(n, 1, **{"gen_ai.output.messages": said}) for n in (2, 4))
    tools = [
        span(n, 1, {"traceloop.span.kind": "tool", "traceloop.entity.name": "find",
                    "traceloop.entity.output": f"answer {n}"}) for n in (3, 5)
    ]  # fmt: skip
    found = calls(*ways(agent(), first, tools[0], second, tools[1])[way])
    assert {call.request_id[-1]: call.tags["tool_results"][0]["result"] for call in found} == {
        "2": "answer 3", "4": "answer 5",
    }  # fmt: skip


def test_every_record_has_the_place_of_its_span():
    lines = [chat(3, 1), {**chat(2, 1), "traceId": "b" * 32}, agent(), 5]
    found = placed(*lines[:3])
    assert sorted((at, type(record).__name__) for record, at in found) == [
        (0, "Call"), (1, "Call"), (2, "Other"),
    ]  # fmt: skip


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], {}, [[]], [1, "x"], {"a": [1]}])
def test_a_span_that_cannot_be_read_is_told_where_it_stands(odd: Any):
    whole = shapes.python_span()
    for key in whole:
        found = placed({**whole, key: odd}, shapes.python_span())
        assert {at for _, at in found} == {0, 1}


def test_too_many_spans_that_wait_are_let_go_the_oldest_trace_first(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(gathering, "MAX_HELD", 2)
    lines = [{**chat(n, None), "traceId": f"{n:032x}"} for n in range(1, 6)]
    reader: Any = trace_reading.SpanReader(lambda value: (value, {}), lambda value: iter(()))
    sent = [[at for _, at in reader.feed(line, n)] for n, line in enumerate(lines)]
    assert sent == [[], [], [0], [1], [2]]
    assert [at for _, at in reader.end()] == [3, 4]


def test_spans_of_three_conventions_in_one_trace():
    mlflow = {"mlflow.spanType": '"CHAT_MODEL"', "mlflow.spanInputs": '{"messages": []}',
              "mlflow.spanOutputs": '"x"', "gen_ai.operation.name": '"chat"'}  # fmt: skip
    phoenix = {"openinference.span.kind": "LLM", "llm.model_name": "p", "output.value": "y"}
    found = calls(old.document(agent(), chat(2), span(3, 1, mlflow), span(4, 1, phoenix)))
    assert [(call.model, call.response and call.response["content"]) for call in found] == [
        ("m", None), (None, "x"), ("p", "y"),
    ]  # fmt: skip
