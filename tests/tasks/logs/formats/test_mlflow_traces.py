from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import mlflow_traces
from tasks.logs.shapes.records import Call, Dead, Other, UnreadableError
from tests.tasks.logs.formats import test_otlp as spans_of

REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-1", "choices": [
    {"message": {"role": "assistant", "content": "ho"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2}}  # fmt: skip


def b64(number: int, size: int = 8) -> str:
    return base64.b64encode(number.to_bytes(size, "big")).decode()


def span(number: int, parent: int | None, kind: str, **attributes: Any) -> dict[str, Any]:
    """Schema 3: ids in base64, every attribute JSON text."""
    given = {"mlflow.spanType": kind, **attributes}
    return {
        "trace_id": b64(7, 16), "span_id": b64(number),
        "parent_span_id": None if parent is None else b64(parent), "name": "x",
        "start_time_unix_nano": 1_700_000_000_000_000_000,
        "end_time_unix_nano": 1_700_000_001_500_000_000, "events": [],
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {key: json.dumps(value) for key, value in given.items()},
    }  # fmt: skip


def llm(number: int = 2, parent: int | None = 1, **changes: Any) -> dict[str, Any]:
    attributes = {
        "mlflow.spanInputs": REQUEST, "mlflow.spanOutputs": ANSWER,
        "mlflow.chat.tokenUsage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        "mlflow.llm.cost": {"total_cost": 0.5}, "mlflow.llm.model": "gpt-4o", "team": "x",
        "mlflow.linkedPrompts": [{"name": "triage", "version": "2"}],
    }  # fmt: skip
    return {**span(number, parent, "CHAT_MODEL", **attributes), **changes}


def trace(*spans: Any, **info: Any) -> dict[str, Any]:
    metadata = {"mlflow.trace.session": "s", "mlflow.trace.user": "ann"}
    return {"info": {"trace_id": "tr-1", "state": "OK", "trace_metadata": metadata, **info},
            "data": {"spans": list(spans)}}  # fmt: skip


def calls(value: Any) -> list[Call]:
    return [each for each in mlflow_traces.records(value) if isinstance(each, Call)]


def test_llm_spans_are_calls_with_hex_ids_and_decoded_attributes():
    value = trace(span(1, None, "AGENT"), llm())
    assert formats.recognise(value) is mlflow_traces
    other, call = mlflow_traces.records(value)
    assert other == Other()
    assert isinstance(call, Call)
    assert call.request_id == f"{7:032x}:{2:016x}"
    assert (call.messages, call.response["content"]) == (REQUEST["messages"], "ho")
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (3, 2, 0.5)
    assert (call.latency_s, call.session_id, call.user) == (1.5, "s", "ann")
    assert (call.prompt_name, call.prompt_version, call.finish_reason) == ("triage", "2", "stop")
    assert (call.params, call.tags["team"]) == ({"temperature": 0}, "x")


def test_attributes_may_be_json_text_of_json_text():
    twice = llm()
    for name in ("mlflow.spanInputs", "mlflow.spanOutputs"):
        twice["attributes"][name] = json.dumps(twice["attributes"][name])
    (call,) = calls(trace(twice))
    assert (call.messages, call.response["content"]) == (REQUEST["messages"], "ho")


def test_of_two_llm_spans_around_one_call_the_inner_counts():
    (call,) = calls(trace(llm(2, None), llm(3, 2)))
    assert call.request_id == f"{7:032x}:{3:016x}"


def test_schema_two_and_trace_artifacts():
    old = {
        "name": "x", "context": {"trace_id": "0xab", "span_id": "0xcd"}, "parent_id": None,
        "start_time": 1_700_000_000_000_000_000, "end_time": 1_700_000_002_000_000_000,
        "status_code": "ERROR", "status_message": "boom",
        "events": [{"name": "exception", "timestamp": 1, "attributes":
                    {"exception.type": "TimeoutError"}}],
        "attributes": {"mlflow.spanType": '"LLM"', "mlflow.spanInputs": '"hi"'},
    }  # fmt: skip
    value = {"spans": [old], "request": "{}"}
    assert formats.recognise(value) is mlflow_traces
    (call,) = calls(value)
    assert (call.request_id, call.latency_s, call.status) == ("ab:cd", 2.0, "error")
    assert (call.error_type, call.messages) == (
        "TimeoutError", [{"role": "user", "content": "hi"}],
    )  # fmt: skip


def test_an_output_without_an_answer_is_an_error_row():
    empty = llm()
    empty["attributes"]["mlflow.spanOutputs"] = json.dumps({**ANSWER, "choices": []})
    assert calls(trace(empty))[0].error_type == "no_completion"


def test_assessments_are_feedback():
    given = [
        {"assessment_name": "correct", "feedback": {"value": False}, "rationale": "no",
         "source": {"source_id": "bob"}, "span_id": b64(2)},
        {"assessment_name": "expected", "expectation": {"value": "Oslo"}},
        {"assessment_name": {}, "feedback": {"value": 1}}, 3,
    ]  # fmt: skip
    found = list(mlflow_traces.records(trace(llm(2), llm(3), assessments=given)))
    first, second = [each.feedback for each in found if isinstance(each, Call)]
    assert [(each.kind, each.value, each.comment, each.by) for each in first] == [
        ("correct", 0.0, "no", "bob")
    ]
    assert [(each.kind, each.corrected) for each in second] == [("expected", "Oslo")]
    assert len([each for each in found if isinstance(each, Dead)]) == 2


def in_rest(whole: dict[str, Any]) -> dict[str, Any]:
    """As protocol buffers write attributes: tagged, and not as JSON text."""
    spans = [
        {**each, "attributes": spans_of.attributes(
            {key: json.loads(text) for key, text in each["attributes"].items()})}
        for each in whole["data"]["spans"]
    ]  # fmt: skip
    return {"trace_info": whole["info"], "spans": spans}


def row(whole: dict[str, Any]) -> dict[str, Any]:
    """Of search_traces: columns, and the whole trace as JSON text."""
    return {"trace_id": "tr-1", "trace": json.dumps(whole), "state": "OK", "request": "hi",
            "trace_metadata": {}, "spans": whole["data"]["spans"], "assessments": []}  # fmt: skip


def spread(whole: dict[str, Any]) -> dict[str, Any]:
    """A row without that text."""
    return {**row(whole), **whole["info"], "trace": None}


WAYS: dict[str, Any] = {
    "json": lambda whole: whole, "get": lambda whole: {"trace": in_rest(whole)},
    "batch": lambda whole: {"traces": [in_rest(whole)]},
    "search": lambda whole: {"traces": [whole], "next_page_token": None}, "row": row,
    "csv": lambda whole: {**row(whole), "trace_metadata": "{}", "spans": "[<Span>]"},
    "spread": spread, "bare": in_rest,
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_a_trace_wherever_it_was_exported(name: str):
    judged = {"assessment_name": "ok", "feedback": {"value": True}}
    replaced = {"assessment_name": "old", "feedback": {"value": False}, "valid": False}
    told = {"mlflow.trace.session": "s", "mlflow.trace.user": "ann"}
    value = WAYS[name](
        trace(span(1, None, "AGENT"), llm(), assessments=[replaced, judged], trace_metadata=told)
    )
    assert formats.recognise(value) is mlflow_traces
    (call,) = calls(value)
    assert (call.request_id, call.model, call.provider) == (
        f"{7:032x}:{2:016x}", "gpt-4o", None,
    )  # fmt: skip
    assert (call.session_id, call.user, call.input_tokens) == ("s", "ann", 3)
    assert (call.messages, call.response["content"]) == (REQUEST["messages"], "ho")
    assert [(each.kind, each.value) for each in call.feedback] == [("ok", 1.0)]


def test_metadata_of_older_answers_are_pairs_and_prompts_may_be_the_traces():
    own = llm()
    del own["attributes"]["mlflow.linkedPrompts"]
    (call,) = calls(trace(
        own, trace_metadata=None,
        request_metadata=[{"key": "mlflow.trace.user", "value": "ann"}],
        tags={"mlflow.linkedPrompts": '[{"name": "greet", "version": "4"}]'},
    ))  # fmt: skip
    assert (call.user, call.prompt_name, call.prompt_version) == ("ann", "greet", "4")


def test_what_a_tool_gave_back_is_kept_with_the_call_that_asked():
    asked = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
        ],
    }
    said = {**ANSWER, "choices": [{"message": asked, "finish_reason": "tool_calls"}]}
    asking = llm(attributes={**llm()["attributes"], "mlflow.spanOutputs": json.dumps(said)})
    tool = span(3, 1, "TOOL", **{"mlflow.spanInputs": {"q": 1}, "mlflow.spanOutputs": "3 rooms"})
    (call,) = calls(trace(asking, {**tool, "name": "find"}))
    assert call.tags["tool_results"] == [
        {"tool_call_id": "c1", "name": "find", "arguments": {"q": 1}, "result": "3 rooms"}
    ]


@pytest.mark.parametrize("value", [5, {}, {"data": {}}, {"spans": {}}])
def test_what_is_no_trace_is_unreadable(value: Any):
    assert not mlflow_traces.matches(value)
    with pytest.raises(UnreadableError):
        list(mlflow_traces.records(value))
