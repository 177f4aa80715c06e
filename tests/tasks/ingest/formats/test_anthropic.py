"""Anthropic Messages: whole, streamed, failed; alone, in pairs and cassettes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.ingest import formats
from tasks.ingest.formats import anthropic
from tasks.ingest.records import Call, Dead, UnreadableError

REQUEST = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "ask the tool"},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bonn"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1",
             "content": [{"type": "text", "text": "sun"}]}
        ]},
    ],
    "metadata": {"user_id": "u-1"},
    "temperature": 0.5,
}  # fmt: skip
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Sunny."}], "stop_reason": "end_turn",
    "usage": {"input_tokens": 12, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 8,
              "output_tokens": 5},
}  # fmt: skip
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None,
                                          "usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Su"}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "nny."}},
    {"type": "content_block_start", "index": 1,
     "content_block": {"type": "tool_use", "id": "t2", "name": "save", "input": {}}},
    {"type": "content_block_delta", "index": 1,
     "delta": {"type": "input_json_delta", "partial_json": "{\"a\": "}},
    {"type": "content_block_delta", "index": 1,
     "delta": {"type": "input_json_delta", "partial_json": "1}"}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]  # fmt: skip


def one(value: Any) -> Call:
    assert formats.recognise(value) is anthropic
    (found,) = anthropic.records(value)
    assert isinstance(found, Call)
    return found


def test_a_pair_is_read_into_canonical_messages():
    call = one(
        {"request": REQUEST, "response": MESSAGE, "timestamp": 1764000000, "session_id": "s"}
    )
    assert call.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "reasoning": "ask the tool", "tool_calls": [
            {"id": "t1", "type": "function",
             "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}]},
        {"role": "tool", "tool_call_id": "t1", "content": "sun"},
    ]  # fmt: skip
    assert call.response == {"role": "assistant", "content": "Sunny."}
    assert (call.provider, call.model) == ("anthropic", "claude-sonnet-4-5-20250929")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (50, 5, 55)
    assert (call.cached_tokens, call.finish_reason, call.user) == (30, "stop", "u-1")
    assert call.params == {"max_tokens": 100, "temperature": 0.5}
    assert (call.status, call.request_id, call.session_id) == ("ok", "msg_1", "s")


@pytest.mark.parametrize(
    "stream",
    [EVENTS, "\n\n".join(f"event: {e['type']}\ndata: {json.dumps(e)}" for e in EVENTS)],
    ids=["events", "event stream"],
)
def test_a_stream_is_put_together(stream: Any):
    call = one({"request": REQUEST, "response": {"body": stream, "status_code": 200}})
    assert call.response is not None
    assert call.response["content"] == "Sunny."
    assert call.tool_calls[0]["function"] == {"name": "save", "arguments": '{"a":1}'}
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (9, 7, "tool_calls")


def test_an_error_is_an_error_row():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    call = one({"request": REQUEST, "response": {"status_code": 529, "body": error}})
    assert (call.status, call.error_type, call.http_status) == ("error", "overloaded_error", 529)
    assert call.response is None
    assert one({"request": REQUEST, "error": "timeout"}).error_type == "timeout"


def test_a_message_alone_and_a_cassette():
    assert one(MESSAGE).response == {"role": "assistant", "content": "Sunny."}
    ours = {"request": {"uri": "https://api.anthropic.com/v1/messages?beta=true",
                        "parsed_body": REQUEST},
            "response": {"status": {"code": 200}, "parsed_body": MESSAGE}}  # fmt: skip
    counting = {"request": {"uri": "https://api.anthropic.com/v1/messages/count_tokens"}}
    cassette = {"interactions": [counting, ours]}
    assert formats.recognise(cassette) is anthropic
    dead, call = anthropic.records(cassette)
    assert isinstance(dead, Dead)
    assert isinstance(call, Call)
    assert (call.provider, call.http_status) == ("anthropic", 200)


def test_a_completion_of_claude_by_another_api_is_not_ours():
    value = {"request": {"model": "claude-x", "messages": []},
             "response": {"object": "chat.completion", "choices": []}}  # fmt: skip
    assert not anthropic.matches(value)


@pytest.mark.parametrize("value", [3, {}, {"type": "message"}, []])
def test_what_is_no_message_is_unreadable(value: Any):
    with pytest.raises(UnreadableError):
        list(anthropic.records(value))
