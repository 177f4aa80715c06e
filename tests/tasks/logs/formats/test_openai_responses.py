from __future__ import annotations

from typing import Any

from tasks.logs.formats import openai_chat, openai_responses
from tasks.logs.shapes.records import Call, Other

REQUEST = {
    "model": "gpt-5", "instructions": "Be brief.", "temperature": 0,
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"type": "function_call", "call_id": "c1", "name": "w", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    ],
}  # fmt: skip
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1_759_223_041, "model": "gpt-5-1",
    "status": "completed", "error": None, "incomplete_details": None,
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "it rains"}]},
        {"type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "Rain."}]},
    ],
    "usage": {"input_tokens": 85, "input_tokens_details": {"cached_tokens": 4},
              "output_tokens": 29, "output_tokens_details": {"reasoning_tokens": 20},
              "total_tokens": 114},
}  # fmt: skip


def one(value: Any) -> Call:
    (found,) = openai_responses.records(value)
    assert isinstance(found, Call)
    return found


def test_a_pair_is_one_call_whose_items_are_one_answer():
    line = {"request": REQUEST, "response": RESPONSE}
    assert openai_responses.matches(line)
    assert not openai_chat.matches(line)
    call = one(line)
    assert call.response == {"role": "assistant", "content": "Rain.", "reasoning": "it rains"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (85, 29, 114)
    assert (call.cached_tokens, call.reasoning_tokens) == (4, 20)
    assert (call.finish_reason, call.params) == ("stop", {"temperature": 0})
    assert [message["role"] for message in call.messages] == [
        "system", "user", "assistant", "tool",
    ]  # fmt: skip
    assert call.messages[2]["tool_calls"][0]["id"] == call.messages[3]["tool_call_id"] == "c1"


def test_a_response_object_stands_alone():
    assert openai_responses.matches(RESPONSE)
    assert one(RESPONSE).request_id == "resp_1"


def test_a_cut_answer_and_a_failed_one():
    cut = {
        **RESPONSE,
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
    }
    assert one({"request": REQUEST, "response": cut}).finish_reason == "length"
    failed = {**RESPONSE, "status": "failed", "output": [], "error": {"code": "server_error"}}
    call = one({"request": REQUEST, "response": failed})
    assert (call.status, call.error_type) == ("error", "server_error")
    assert one({"request": REQUEST, "response": {**RESPONSE, "output": []}}).error_type == (
        "no_completion"
    )


def test_the_last_event_of_a_stream_holds_the_response():
    events = [{"type": "response.created", "response": {"id": "resp_1", "output": []}},
              {"type": "response.output_text.delta", "delta": "Ra"},
              {"type": "response.completed", "response": RESPONSE}]  # fmt: skip
    call = one({"request": {"model": "m", "input": "Weather?"}, "response": events})
    assert (call.response["content"], call.input_tokens) == ("Rain.", 85)
    assert call.messages == [{"role": "user", "content": "Weather?"}]


def test_tool_calls_of_the_answer():
    output = [{"type": "function_call", "call_id": "c2", "name": "w", "arguments": "{}"}]
    call = one({"request": REQUEST, "response": {**RESPONSE, "output": output}})
    assert (call.finish_reason, call.tool_calls[0]["id"]) == ("tool_calls", "c2")


def test_a_response_in_the_background_is_a_call_once_it_is_done():
    queued = {**RESPONSE, "status": "queued", "output": [], "usage": None}
    assert list(openai_responses.records({"request": REQUEST, "response": queued})) == [Other()]
    poll = {"request": {"uri": "https://api.openai.com/v1/responses/resp_1", "body": ""},
            "response": {"parsed_body": RESPONSE}}  # fmt: skip
    cassette = {"interactions": [
        {"request": {"uri": "https://api.openai.com/v1/responses", "parsed_body": REQUEST},
         "response": {"parsed_body": queued}}, poll]}  # fmt: skip
    waiting, call = openai_responses.records(cassette)
    assert waiting == Other()
    assert isinstance(call, Call)
    assert (call.request_id, call.response["content"]) == ("resp_1", "Rain.")
