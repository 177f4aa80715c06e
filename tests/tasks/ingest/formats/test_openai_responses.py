"""OpenAI's Responses API, and the Batch API's output of any of the APIs."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.ingest import formats
from tasks.ingest.formats import openai_batch, openai_responses
from tasks.ingest.records import Call, Other, UnreadableError

RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1759223041, "model": "gpt-4.1-2025-04-14",
    "status": "completed", "error": None, "incomplete_details": None,
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "think"}]},
        {"type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "Sunny.", "annotations": []}]},
    ],
    "usage": {"input_tokens": 85, "input_tokens_details": {"cached_tokens": 64},
              "output_tokens": 29, "output_tokens_details": {"reasoning_tokens": 11},
              "total_tokens": 114},
}  # fmt: skip
REQUEST = {
    "model": "gpt-4.1",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
    ],
    "temperature": 0,
}


def one(value: Any) -> Call:
    assert formats.recognise(value) is openai_responses
    (found,) = openai_responses.records(value)
    assert isinstance(found, Call)
    return found


def test_a_pair_is_read():
    call = one({"request": REQUEST, "response": RESPONSE})
    assert call.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
    ]  # fmt: skip
    assert call.response == {"role": "assistant", "content": "Sunny.", "reasoning": "think"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (85, 29, 114)
    assert (call.cached_tokens, call.reasoning_tokens, call.finish_reason) == (64, 11, "stop")
    assert call.params == {"temperature": 0}


def test_a_function_call_and_a_cut_answer_and_a_failure():
    asks = {"type": "function_call", "call_id": "c2", "name": "save", "arguments": "{}"}
    call = one({**RESPONSE, "output": [asks]})
    assert (call.finish_reason, call.tool_calls[0]["id"]) == ("tool_calls", "c2")
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert one({**RESPONSE, **cut}).finish_reason == "length"
    error = {"code": "server_error", "message": "x"}
    failed = one({**RESPONSE, "status": "failed", "output": [], "error": error})
    assert (failed.status, failed.error_type) == ("error", "server_error")
    assert one({**RESPONSE, "output": []}).error_type == "no_completion"


def test_the_last_event_of_a_stream_holds_the_response():
    events = [{"type": "response.created", "response": {**RESPONSE, "output": []}},
              {"type": "response.output_text.delta", "delta": "Su"},
              {"type": "response.completed", "response": RESPONSE}]  # fmt: skip
    call = one({"request": REQUEST, "response": {"body": events}})
    assert call.output_tokens == 29


def batch(**changes: Any) -> dict[str, Any]:
    completion = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1734986202,
                  "model": "gpt-4o-mini", "usage": {"prompt_tokens": 20, "completion_tokens": 10},
                  "choices": [{"message": {"role": "assistant", "content": "Hi"},
                               "finish_reason": "stop"}]}  # fmt: skip
    return {"id": "batch_req_1", "custom_id": "request-1", "error": None,
            "response": {"status_code": 200, "request_id": "r", "body": completion},
            **changes}  # fmt: skip


def test_batch_output_of_every_api():
    assert formats.recognise(batch()) is openai_batch
    (chat,) = openai_batch.records(batch())
    assert isinstance(chat, Call)
    assert (chat.request_id, chat.input_tokens, chat.http_status) == ("chatcmpl-1", 20, 200)
    assert chat.tags["custom_id"] == "request-1"
    (responses,) = openai_batch.records(batch(response={"status_code": 200, "body": RESPONSE}))
    assert isinstance(responses, Call)
    assert responses.output_tokens == 29
    message = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    (claude,) = openai_batch.records(
        {"custom_id": "a", "result": {"type": "succeeded", "message": message}}
    )
    assert isinstance(claude, Call)
    assert (claude.provider, claude.status) == ("anthropic", "ok")


def test_failures_and_questions_of_a_batch():
    expired = {"code": "batch_expired", "message": "too late"}
    (late,) = openai_batch.records(batch(response=None, error=expired))
    assert isinstance(late, Call)
    assert (late.status, late.error_type, late.request_id) == (
        "error", "batch_expired", "batch_req_1",
    )  # fmt: skip
    (canceled,) = openai_batch.records({"custom_id": "a", "result": {"type": "canceled"}})
    assert isinstance(canceled, Call)
    assert canceled.error_type == "canceled"
    question = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}}
    for asked in (question, {"custom_id": "a", "params": {"messages": []}}):
        assert formats.recognise(asked) is openai_batch
        assert list(openai_batch.records(asked)) == [Other()]
    with pytest.raises(UnreadableError):
        list(openai_batch.records({"response": {}}))


@pytest.mark.parametrize("value", [3, {}, {"object": "x"}])
def test_what_is_no_response_is_unreadable(value: Any):
    with pytest.raises(UnreadableError):
        list(openai_responses.records(value))
