from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import openinference, otel_spans, phoenix
from tasks.logs.shapes.records import Call, Other
from tests.tasks.logs.formats.test_otlp import document

LLM = {
    "openinference.span.kind": "LLM",
    "llm.system": "openai",
    "llm.model_name": "gpt-5",
    "llm.invocation_parameters": '{"model": "gpt-5", "temperature": 0}',
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.contents.0.message_content.type": "text",
    "llm.input_messages.0.message.contents.0.message_content.text": "hi",
    "llm.input_messages.1.message.role": "tool",
    "llm.input_messages.1.message.tool_call_id": "c",
    "llm.input_messages.1.message.content": "r",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "ho",
    "llm.token_count.prompt": 8,
    "llm.token_count.completion": "377",
    "llm.token_count.completion_details.reasoning": 320,
    "session.id": "s",
    "llm.tools.0.tool.json_schema": '{"type": "function"}',
}


def span(attributes: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    pairs = [
        {"key": k, "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
        for k, v in (LLM if attributes is None else attributes).items()
    ]
    return {"name": "ChatCompletion", "kind": "SPAN_KIND_INTERNAL", "attributes": pairs,
            "status": {"code": "STATUS_CODE_OK"}, **changes}  # fmt: skip


def one(value: Any) -> Call:
    (found,) = openinference.records(value)
    assert isinstance(found, Call)
    return found


@pytest.mark.parametrize("value", [span(), document(span())])
def test_an_llm_span_is_one_call_bare_or_in_an_envelope(value: Any):
    assert formats.recognise(value) is openinference
    call = one(value)
    assert call.messages == [{"role": "user", "content": "hi"},
                             {"role": "tool", "content": "r", "tool_call_id": "c"}]  # fmt: skip
    assert call.response == {"role": "assistant", "content": "ho"}
    assert (call.input_tokens, call.output_tokens, call.reasoning_tokens) == (8, 377, 320)
    assert (call.model, call.provider, call.session_id, call.status) == (
        "gpt-5", "openai", "s", "ok",
    )  # fmt: skip
    assert call.params == {"temperature": 0, "tools": [{"type": "function"}]}
    assert (call.started_at, call.request_id) == (None, None)


@pytest.mark.parametrize("kind", ["CHAIN", "AGENT", "TOOL", "EMBEDDING", "RETRIEVER"])
def test_tokens_count_on_llm_spans_only(kind: str):
    assert list(openinference.records(span({**LLM, "openinference.span.kind": kind}))) == [Other()]


def test_an_llm_span_around_another_is_the_same_call():
    outer = span(traceId="t", spanId="1")
    inner = span(traceId="t", spanId="2", parentSpanId="1")
    found = list(openinference.records(document(outer, inner)))
    assert found[0] == Other()
    assert isinstance(found[1], Call)
    assert found[1].request_id == "t:2"


def test_messages_from_the_raw_values_where_there_are_no_others():
    raw = {
        "openinference.span.kind": "LLM",
        "input.value": json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
        "output.value": json.dumps({"id": "c", "object": "chat.completion", "model": "m-1",
            "choices": [{"message": {"content": "ho"}, "finish_reason": "stop"}]}),
    }  # fmt: skip
    call = one(span(raw))
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert (call.response["content"], call.finish_reason, call.model) == ("ho", "stop", "m-1")
    assert call.tags["response_id"] == "c"


def test_text_completions_have_prompts_and_choices():
    found = {"openinference.span.kind": "LLM", "llm.prompts.0.prompt.text": "Once",
             "llm.choices.0.completion.text": " upon"}  # fmt: skip
    call = one(span(found))
    assert call.messages == [{"role": "user", "content": "Once"}]
    assert call.response == {"role": "assistant", "content": " upon"}


def test_an_answer_without_content_is_an_error_row_but_a_hidden_one_is_not():
    silent = {k: v for k, v in LLM.items() if k != "llm.output_messages.0.message.content"}
    call = one(span(silent))
    assert (call.status, call.error_type, call.response) == ("error", "no_completion", None)
    hidden = {k: v for k, v in LLM.items() if "output_messages" not in k}
    assert one(span(hidden)).status == "ok"


def test_errors_have_the_class_of_their_exception():
    event = {"name": "exception", "attributes": [
        {"key": "exception.type", "value": {"stringValue": "openai.NotFoundError"}}]}  # fmt: skip
    call = one(span(events=[event], status={"code": "STATUS_CODE_ERROR", "message": "404"}))
    assert (call.status, call.error_type) == ("error", "openai.NotFoundError")


def test_phoenix_export_has_nested_attributes_and_iso_times():
    nested = {
        "llm": {"model_name": "m", "token_count": {"prompt": 3, "completion": 2},
                "input_messages": [{"message": {"role": "user", "content": "hi"}}],
                "output_messages": [{"message": {"role": "assistant", "tool_calls": [
                    {"tool_call": {"id": "t", "function": {"name": "f", "arguments": "{}"}}}]}}]},
        "openinference": {"span": {"kind": "LLM"}},
    }  # fmt: skip
    value = {"name": "x", "span_kind": "LLM", "attributes": nested, "parent_id": None,
             "context": {"trace_id": "t", "span_id": "1"}, "status_code": "OK",
             "start_time": "2026-01-01T00:00:00+00:00", "end_time": "2026-01-01T00:00:01.500000Z",
             "events": [{"name": "e", "timestamp": "2026-01-01T00:00:01Z", "attributes": {}}],
             }  # fmt: skip
    assert formats.recognise(value) is phoenix
    (call,) = phoenix.records(value)
    assert call == one(value)
    assert (call.request_id, call.latency_s, call.input_tokens) == ("t:1", 1.5, 3)
    assert call.tool_calls[0]["function"]["name"] == "f"
    assert call.messages == [{"role": "user", "content": "hi"}]


def test_spans_as_the_sdk_prints_them():
    value = {
        "name": "chat m", "context": {"trace_id": "0xab", "span_id": "0xcd"}, "parent_id": "0x12",
        "kind": "SpanKind.CLIENT", "start_time": "2026-01-01T00:00:00.000000Z",
        "end_time": "2026-01-01T00:00:02.000000Z", "status": {"status_code": "ERROR"},
        "attributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m",
                       "gen_ai.usage.input_tokens": 4, "error.type": "timeout"},
        "events": [], "resource": {"attributes": {"service.name": "app"}},
    }  # fmt: skip
    assert formats.recognise(value) is otel_spans
    call = one(value)
    assert (call.request_id, call.latency_s, call.input_tokens) == ("ab:cd", 2.0, 4)
    assert (call.status, call.error_type) == ("error", "timeout")
    assert call.tags["service.name"] == "app"


def test_attributes_alone_are_enough_where_they_name_the_kind():
    value = {"attributes": {"openinference.span.kind": "LLM", "input.value": "hi"}}
    assert formats.recognise(value) is openinference
    assert one(value).messages == [{"role": "user", "content": "hi"}]
