from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.logs import formats
from tasks.logs.formats import phoenix
from tasks.logs.shapes.records import Call, Dead, Feedback, Other
from tests.tasks.logs.builders import make_run, query, write_lines

FLAT: dict[str, Any] = {
    "context.span_id": "s2", "context.trace_id": "t", "parent_id": "s1", "span_kind": "LLM",
    "name": "ChatCompletion", "status_code": "OK", "status_message": "", "events": [],
    "start_time": 1767323045000, "end_time": 1767323046500,
    "attributes.openinference.span.kind": "LLM", "attributes.llm.model_name": "gpt-5",
    "attributes.llm.system": "mistralai",
    "attributes.llm.input_messages": [
        {"message.role": "user", "message.content": "hi", "message.tool_calls": None}],
    "attributes.llm.output_messages": [
        {"message.role": "assistant", "message.tool_calls": [{"tool_call.id": "c",
         "tool_call.function.name": "f", "tool_call.function.arguments": "{}"}]}],
    "attributes.llm.invocation_parameters": '{"temperature": 0}',
    "attributes.llm.token_count.prompt": 12.0, "attributes.llm.token_count.completion": 5.0,
    "attributes.llm.token_count.prompt_details.cache_read": 4.0,
    "attributes.llm.token_count.prompt_details.cache_write": 3.0,
    "attributes.llm.token_count.total": 17.0, "attributes.llm.cost.total": 0.5,
    "attributes.session.id": "s", "attributes.user.id": "ann", "attributes.metadata": None,
    "attributes.retrieval.documents": None,
    "eval.Hallucination.score": 1.0, "eval.Hallucination.label": "factual",
    "eval.Hallucination.explanation": None,
}  # fmt: skip
NESTED: dict[str, Any] = {
    **FLAT,
    "start_time": "2026-01-02T03:04:05+00:00", "end_time": "2026-01-02T03:04:06.5+00:00",
    "attributes.llm.token_count": {"prompt": 12, "completion": 5, "total": 17, "prompt_details": {
        "cache_read": 4, "cache_write": 3}},
    "attributes.llm.input_messages": [{"message": {"role": "user", "content": "hi"}}],
    "attributes.llm.output_messages": [{"message": {"role": "assistant", "tool_calls": [
        {"tool_call": {"id": "c", "function": {"name": "f", "arguments": "{}"}}}]}}],
}  # fmt: skip
for _name in [each for each in NESTED if "token_count." in each]:
    del NESTED[_name]
AS_TEXT = {key: json.dumps(item) if isinstance(item, list) else item for key, item in FLAT.items()}
OF_API: dict[str, Any] = {
    "id": "U3Bhbg==", "name": "ChatCompletion", "context": {"trace_id": "t", "span_id": "s2"},
    "span_kind": "LLM", "parent_id": "s1", "start_time": "2026-01-02T03:04:05Z",
    "end_time": "2026-01-02T03:04:06.500Z", "status_code": "OK", "events": [],
    "attributes": {
        **{key.removeprefix("attributes."): item for key, item in FLAT.items()
           if key.startswith("attributes.") and not isinstance(item, list) and item is not None},
        "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "hi",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{}",
    },
    "annotations": [{"name": "Hallucination", "annotator_kind": "LLM",
                     "result": {"score": 1.0, "label": "factual"}}],
}  # fmt: skip


def fed(*values: Any) -> list[Any]:
    reader = phoenix.reader()
    found = [each for number, value in enumerate(values) for each in reader.feed(value, number)]
    return [record for record, _ in (*found, *reader.end())]


@pytest.mark.parametrize("value", [FLAT, NESTED, AS_TEXT, {"data": [OF_API], "next_cursor": None},
                                   {"traceId": "t", "spans": [OF_API]}])  # fmt: skip
def test_a_span_in_every_shape_people_have(value: Any):
    assert formats.recognise(value) is phoenix
    (call,) = fed(value)
    assert isinstance(call, Call)
    assert (call.request_id, call.model, call.provider) == ("t:s2", "gpt-5", "mistral_ai")
    assert (str(call.started_at), call.latency_s) == ("2026-01-02 03:04:05", 1.5)
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.tool_calls == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (12, 5, 17)
    assert (call.cached_tokens, call.cost_usd, call.status) == (4, 0.5, "ok")
    assert (call.session_id, call.user, call.params) == ("s", "ann", {"temperature": 0})
    assert call.tags["span_name"] == "ChatCompletion"
    assert call.tags["parent_span_id"] == "s1"
    assert call.feedback == (Feedback("Hallucination", value=1.0, comment="factual"),)


def test_only_llm_spans_are_calls_and_of_two_the_inner():
    chain = {**FLAT, "context.span_id": "s1", "parent_id": None, "span_kind": "CHAIN",
             "attributes.openinference.span.kind": "CHAIN"}  # fmt: skip
    inner = {**FLAT, "context.span_id": "s3", "parent_id": "s2"}
    found = fed(chain, FLAT, inner)
    assert [getattr(each, "request_id", type(each)) for each in found] == [Other, Other, "t:s3"]


def test_a_failed_span_is_a_call_with_its_error():
    raised = {"name": "exception", "timestamp": "2026-01-02T03:04:06Z",
              "attributes": {"exception.type": "openai.NotFoundError"}}  # fmt: skip
    row = {**FLAT, "status_code": "ERROR", "status_message": "no", "events": [raised],
           "attributes.llm.output_messages": None}  # fmt: skip
    (call,) = fed(row)
    assert (call.status, call.error_type, call.tags["status_message"]) == (
        "error", "openai.NotFoundError", "no",
    )  # fmt: skip


def test_a_row_of_the_database_has_its_attributes_as_text():
    told = {"openinference": {"span": {"kind": "LLM"}}, "llm": {"model_name": "m"},
            "input": {"value": "hi"}, "output": {"value": "ho"}}  # fmt: skip
    row = {"id": 1, "span_id": "s2", "parent_id": "s1", "span_kind": "LLM", "name": "x",
           "start_time": "2026-01-02 03:04:05", "attributes": json.dumps(told)}  # fmt: skip
    assert formats.recognise(row) is phoenix
    (call,) = fed(row)
    assert (call.model, call.messages[0]["content"], call.response["content"]) == ("m", "hi", "ho")


@pytest.mark.parametrize("row", [
    {"span_id": "s2", "annotation_name": "correct", "annotator_kind": "HUMAN", "result.score": 0.5,
     "result.label": "half", "result.explanation": "not all", "created_at": 1767323045000,
     "user_id": "bob"},
    {"span_id": "s2", "name": "correct", "annotator_kind": "HUMAN", "user_id": "bob",
     "created_at": "2026-01-02T03:04:05Z",
     "result": {"score": 0.5, "label": "half", "explanation": "not all"}},
])  # fmt: skip
def test_annotations_are_feedback_on_the_span_they_name(row: dict[str, Any]):
    for value in (row, {"data": [row], "next_cursor": None}):
        assert formats.recognise(value) is phoenix
        (signal,) = fed(value)
        assert (signal.kind, signal.request_id, signal.value) == ("correct", "s2", 0.5)
        assert (signal.comment, signal.by) == ("not all", "bob")
        assert str(signal.given_at) == "2026-01-02 03:04:05"
    (dead,) = fed({**row, "span_id": ""})
    assert isinstance(dead, Dead)


@pytest.mark.parametrize("first", ["spans", "annotations"])
def test_a_table_of_annotations_finds_the_calls_of_its_spans(first: str, tmp_path: Path):
    trace, own = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    span = {**FLAT, "context.trace_id": trace, "context.span_id": own}
    judged = {"span_id": own, "annotation_name": "correct", "annotator_kind": "HUMAN",
              "result.score": 1.0}  # fmt: skip
    unknown = {**judged, "span_id": "00f067aa0ba902b7"}
    tables = {"spans": [span], "annotations": [judged, unknown]}
    for number, name in enumerate(sorted(tables, key=lambda name: name != first)):
        path = write_lines(tmp_path / f"{name}.jsonl", *tables[name])
        run = make_run(tmp_path, path, run_id=f"run-{number}")
        ingest(run)
    assert query(run, "SELECT request_id FROM feedback WHERE kind = 'correct' ORDER BY 1") == [
        ("00f067aa0ba902b7",), (f"{trace}:{own}",),
    ]  # fmt: skip
    assert query(run, "SELECT request_id FROM landing") == [(f"{trace}:{own}",)]
    again = make_run(tmp_path, tmp_path / "*.jsonl", run_id="run-2", log_format="phoenix")
    assert ingest(again).rows_out == 0


def test_a_data_frame_of_evaluations_is_feedback():
    row = {"context.span_id": "s2", "context.trace_id": "t", "score": 1, "label": "factual"}
    assert fed(row) == [Feedback("evaluation", "t:s2", 1.0, "factual")]


@pytest.mark.parametrize(
    "value",
    [{"data": [{"context": {}}]}, {"span_kind": "LLM"}, {"spans": [{"name": "x"}]},
     {"context.span_id": "s"}],
)  # fmt: skip
def test_what_only_looks_like_it_is_not_taken(value: Any):
    assert not phoenix.matches(value)


def test_a_span_of_the_api_alone_whose_attributes_do_not_tell_its_kind():
    bare = {"name": "x", "span_kind": "LLM", "context": {"trace_id": "t", "span_id": "s"},
            "parent_id": None, "start_time": "2026-01-02T03:04:05Z", "status_code": "OK",
            "end_time": "2026-01-02T03:04:06Z", "attributes": {"llm.model_name": "m",
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "hi", "output.value": "ho"}}  # fmt: skip
    assert formats.recognise([bare]) is phoenix
    (call,) = phoenix.records(bare)
    assert isinstance(call, Call)
    assert (call.request_id, call.model, call.messages) == (
        "t:s", "m", [{"role": "user", "content": "hi"}])  # fmt: skip
