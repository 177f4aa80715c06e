from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import openai_agents
from tasks.logs.shapes.records import Dead, Other, UnreadableError
from tests.tasks.logs.formats import test_openai_responses as responses
from tests.tasks.logs.formats.reading import calls, one, records

AT = datetime(2023, 11, 14, 22, 13, 20, 250_000)  # noqa: DTZ001
USAGE = {"requests": 1, "input_tokens": 11, "output_tokens": 7, "total_tokens": 18,
         "input_tokens_details": {"cached_tokens": 4},
         "output_tokens_details": {"reasoning_tokens": 2}}  # fmt: skip
CALLED = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
GENERATION = {
    "type": "generation", "input": [{"role": "user", "content": "hi"}],
    "output": [{"role": "assistant", "content": None, "tool_calls": [CALLED]}], "model": "gpt-4o",
    "model_config": {"temperature": 0.25, "top_p": None, "base_url": "https://x"}, "usage": USAGE,
}  # fmt: skip


def trace(**changes: Any) -> dict[str, Any]:
    return {"object": "trace", "id": "trace_1", "workflow_name": "Booking", "group_id": "talk",
            "metadata": {"user_id": "ann"}, **changes}  # fmt: skip


def span(number: int = 2, parent: str | None = "span_1", **said: Any) -> dict[str, Any]:
    return {
        "object": "trace.span", "id": f"span_{number}", "trace_id": "trace_1", "parent_id": parent,
        "started_at": f"2023-11-14T22:13:{18 + number}.250000+00:00",
        "ended_at": f"2023-11-14T22:13:{19 + number}.750000+00:00",
        "span_data": said or GENERATION, "error": None,
    }  # fmt: skip


AGENT = span(1, None, type="agent", name="Booker", handoffs=[], tools=["find"], output_type="str")
TOOL = span(3, "span_1", type="function", name="find", input='{"q": 1}', output="3 rooms",
            mcp_data=None)  # fmt: skip


@pytest.mark.parametrize("batch", [True, False])
def test_a_generation(batch: bool):
    items = [trace(), AGENT, span(), TOOL]
    values = [{"data": items}] if batch else items
    assert formats.recognise(values) is openai_agents
    assert records(*values).count(Other()) == 3
    call = one(*values)
    assert (call.request_id, call.started_at, call.latency_s) == ("trace_1:span_2", AT, 1.5)
    assert (call.model, call.session_id, call.user) == ("gpt-4o", "talk", "ann")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (11, 7, 18)
    assert (call.cached_tokens, call.reasoning_tokens) == (4, 2)
    assert (call.messages, call.params) == (GENERATION["input"], {"temperature": 0.25})
    assert (call.tool_calls, call.operation, call.status) == ([CALLED], "chat", "ok")
    assert call.tags == {
        "parent_span_id": "span_1", "span_name": "generation",
        "tool_results": [{"tool_call_id": "c1", "name": "find", "arguments": {"q": 1},
                          "result": "3 rooms"}],
    }  # fmt: skip


def test_a_response_with_usage_alone_is_a_call_and_its_id_a_tag():
    call = one(span(type="response", response_id="resp_1", usage=USAGE))
    assert (call.provider, call.input_tokens, call.output_tokens) == ("openai", 11, 7)
    assert (call.status, call.response) == ("ok", None)
    assert call.tags["gen_ai.response.id"] == "resp_1"


def test_a_response_of_which_only_the_id_is_told_is_no_call():
    assert records(span(type="response", response_id="resp_1")) == [Other()]


def test_a_response_as_other_processors_write_it():
    call = one(span(type="response", response_id="resp_1", input="hi", response=responses.RESPONSE))
    (expected,) = formats.openai_responses.records(
        {"request": {"input": "hi"}, "response": responses.RESPONSE}
    )
    assert (call.messages, call.response) == (
        [{"role": "user", "content": "hi"}],
        expected.response,
    )
    assert (call.model, call.input_tokens) == (expected.model, expected.input_tokens)


def test_a_failed_call():
    call = one({**span(), "error": {"message": "late", "data": {}}})
    assert (call.status, call.error_type, call.tags["status_message"]) == (
        "error",
        "_OTHER",
        "late",
    )


@pytest.mark.parametrize(
    "kind", ["agent", "function", "handoff", "guardrail", "custom", "mcp_tools", "speech", "new"]
)
def test_other_spans_are_no_calls(kind: str):
    assert records(span(type=kind, name="x", usage=USAGE, model="m")) == [Other()]


def test_traces_are_told_apart_line_by_line():
    other = {**span(2, None), "trace_id": "trace_2"}
    found = calls(trace(), trace(id="trace_2", group_id=None), other, span(2, None))
    assert {call.request_id: call.session_id for call in found} == {
        "trace_1:span_2": "talk", "trace_2:span_2": None,
    }  # fmt: skip


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], {}, [[]], [1, "x"], {"a": [1]}])
def test_a_value_of_any_type_in_any_field_is_read_or_refused(odd: Any):
    for whole in (span(), trace(), TOOL):
        for key in whole:
            value = {**whole, key: odd}
            if openai_agents.matches(value):
                assert list(openai_agents.records(value))
    for kind in ("generation", "response"):
        for key in GENERATION:
            assert list(openai_agents.records(span(**{**GENERATION, "type": kind, key: odd})))


@pytest.mark.parametrize("value", [
    5, {}, {"data": []}, {"object": "trace"}, {"object": "trace.span"},
    {"object": "list", "data": [{"object": "model"}]},
])  # fmt: skip
def test_what_is_no_trace_is_unreadable(value: Any):
    assert not openai_agents.matches(value)
    with pytest.raises(UnreadableError):
        list(openai_agents.records(value))


def test_what_is_none_among_spans_is_a_dead_letter():
    assert isinstance(records({"data": [span(), 5]})[1], Dead)
