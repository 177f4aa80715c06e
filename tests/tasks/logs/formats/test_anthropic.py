from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs.formats import anthropic, openai_chat
from tasks.logs.shapes.records import Call, Other

REQUEST = {
    "model": "claude-x",
    "max_tokens": 64,
    "system": [{"type": "text", "text": "Be brief."}],
    "metadata": {"user_id": "ann"},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Weather in Oslo?"}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "use the tool", "signature": "s"},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1",
             "content": [{"type": "text", "text": "rain"}]},
            {"type": "text", "text": "and tomorrow?"}]},
    ],
}  # fmt: skip
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1",
    "content": [{"type": "text", "text": "Sun."}], "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 5,
              "cache_creation_input_tokens": 2, "output_tokens": 3},
}  # fmt: skip


def one(value: Any) -> Call:
    (found,) = anthropic.records(value)
    assert isinstance(found, Call)
    return found


def test_a_pair_is_one_call_with_cached_tokens_in_the_input():
    line = {"request": REQUEST, "response": MESSAGE}
    assert anthropic.matches(line)
    assert not openai_chat.matches(line)
    call = one(line)
    assert (call.request_id, call.model, call.provider) == ("msg_1", "claude-x-1", "anthropic")
    assert (call.input_tokens, call.cached_tokens, call.output_tokens) == (17, 5, 3)
    assert (call.finish_reason, call.status, call.user) == ("stop", "ok", "ann")
    assert call.params == {"max_tokens": 64}
    assert call.response == {"role": "assistant", "content": "Sun."}


def test_blocks_become_messages_and_tool_results_follow_their_calls():
    system, user, calling, result, asked = one({"request": REQUEST, "response": MESSAGE}).messages
    assert system == {"role": "system", "content": "Be brief."}
    assert user == {"role": "user", "content": "Weather in Oslo?"}
    assert calling["reasoning"] == "use the tool"
    assert calling["tool_calls"] == [
        {"id": "t1", "type": "function",
         "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    ]  # fmt: skip
    assert result == {"role": "tool", "tool_call_id": "t1", "content": "rain"}
    assert asked == {"role": "user", "content": "and tomorrow?"}


def test_a_stream_is_put_together():
    events = [
        {"type": "message_start", "message": {**MESSAGE, "content": [], "usage":
                                              {"input_tokens": 4, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hm"}},
        {"type": "content_block_start", "index": 1,
         "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": '{"a":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": " 1}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"},
         "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]  # fmt: skip
    text = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    for response in (events, {"body": text}):
        call = one({"request": REQUEST, "response": response})
        assert (call.input_tokens, call.output_tokens) == (4, 9)
        assert call.finish_reason == "tool_calls"
        assert call.response["content"] == "Hm"
        assert call.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a":1}'}


def exchange(path: str, body: Any) -> dict[str, Any]:
    return {"request": {"uri": f"https://api.anthropic.com/v1/{path}?beta=true",
                        "parsed_body": REQUEST},
            "response": {"status": {"code": 200}, "parsed_body": body}}  # fmt: skip


def test_counting_tokens_is_no_call():
    cassette = {"interactions": [
        exchange("messages/count_tokens", {"input_tokens": 19}), exchange("messages", MESSAGE),
        exchange("files", {"id": "f"}),
    ]}  # fmt: skip
    assert anthropic.matches(cassette)
    counted, call, uploaded = anthropic.records(cassette)
    assert isinstance(counted, Other)
    assert isinstance(call, Call)
    assert isinstance(uploaded, Other)
    assert call.provider == "anthropic"


def test_a_cassette_may_speak_several_apis():
    chat = {"request": {"uri": "https://api.openai.com/v1/chat/completions",
                        "parsed_body": {"model": "m", "messages": []}},
            "response": {"parsed_body": {"object": "chat.completion", "id": "c", "choices":
                         [{"message": {"content": "x"}}]}}}  # fmt: skip
    found = list(anthropic.records({"interactions": [exchange("messages", MESSAGE), chat]}))
    assert [each.request_id for each in found if isinstance(each, Call)] == ["msg_1", "c"]
    assert [each.provider for each in found if isinstance(each, Call)] == ["anthropic", "openai"]


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
         "overloaded_error"),
        ({**MESSAGE, "content": []}, "no_completion"),
        ("busy", "no_completion"),
    ],
)  # fmt: skip
def test_what_is_no_completion_is_an_error_row(body: Any, error_type: str):
    call = one({"request": REQUEST, "response": {"status_code": 200, "body": body}})
    assert (call.status, call.error_type, call.response) == ("error", error_type, None)


def test_a_cassette_that_only_counts_tokens_is_known():
    cassette = {"interactions": [exchange("messages/count_tokens", {"input_tokens": 19})]}
    assert anthropic.matches(cassette)
    assert list(anthropic.records(cassette)) == [Other()]
