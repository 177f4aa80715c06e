"""Ollama's own API: whole answers, beside their requests, and streams an object a line."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats.vendors import ollama
from tasks.logs.reading.line_values import At
from tasks.logs.shapes.answers import CUT_OFF
from tasks.logs.shapes.records import Call, UnreadableError

CHAT = {
    "model": "tiny:1b", "created_at": "2026-11-03T08:00:02.5Z",
    "message": {"role": "assistant", "content": "blue", "thinking": "the sky"},
    "done": True, "done_reason": "stop", "total_duration": 2_500_000_000,
    "load_duration": 100_000_000, "prompt_eval_count": 11, "prompt_eval_duration": 300_000_000,
    "eval_count": 4, "eval_duration": 2_000_000_000,
}  # fmt: skip
GENERATE = {**{k: v for k, v in CHAT.items() if k != "message"}, "response": "blue", "context": [1]}
ASKED = {
    "model": "tiny:1b", "stream": False, "options": {"temperature": 0.2, "num_predict": 9},
    "messages": [{"role": "user", "content": "which colour?"}],
}  # fmt: skip


def piece(text: str, model: str = "tiny:1b", **more: Any) -> dict[str, Any]:
    said = {"message": {"role": "assistant", "content": text}}
    return {"model": model, "created_at": "2026-11-03T08:00:01Z", **said, "done": False, **more}


def one(value: Any) -> Call:
    (call,) = formats.recognise(value).records(value)
    assert isinstance(call, Call)
    return call


def fed(*values: Any) -> list[tuple[Any, int]]:
    reader = ollama.reader()
    found = []
    for number, value in enumerate(values):
        found += reader.feed(value, At(number, number, str(number), b""))
    found += reader.end()
    assert reader.oldest is None
    return [(record, place.number) for record, place in found]


def test_an_answer_tells_when_it_began_how_long_it_took_and_its_counts():
    assert formats.recognise(CHAT) is ollama
    call = one(CHAT)
    assert str(call.started_at) == "2026-11-03 08:00:00"
    assert (call.latency_s, call.ttft_s) == (2.5, pytest.approx(0.4))
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (11, 4, "stop")
    assert (call.provider, call.model, call.operation) == ("ollama", "tiny:1b", "chat")
    assert call.response == {"role": "assistant", "content": "blue", "reasoning": "the sky"}
    assert call.messages is None


def test_a_request_beside_its_answer_gives_messages_and_parameters():
    call = one({"request": ASKED, "response": CHAT, "user_id": "u"})
    assert call.messages == ASKED["messages"]
    assert call.params == {"temperature": 0.2, "num_predict": 9, "stream": False}
    assert call.user == "u"
    asked = {"model": "m", "prompt": "p", "system": "s", "raw": False}
    call = one({"request": asked, "response": GENERATE})
    assert [message["content"] for message in call.messages] == ["s", "p"]
    assert (call.operation, call.response["content"]) == ("text_completion", "blue")
    assert one(GENERATE).operation == "text_completion"


def test_tools_are_called_in_the_one_shape():
    called = {"function": {"name": "look", "arguments": {"at": "sky"}}}
    call = one({**CHAT, "message": {"role": "assistant", "content": "", "tool_calls": [called]}})
    (made,) = call.tool_calls
    assert made["function"] == {"name": "look", "arguments": '{"at":"sky"}'}
    assert call.finish_reason == "tool_calls"


def test_the_objects_of_a_stream_are_one_call_where_it_began():
    last = {**CHAT, "message": {"role": "assistant", "content": ""}}
    other = piece("x", "other")
    found = fed(piece("bl"), other, piece("ue"), last, CHAT)
    assert [(call.response["content"], place) for call, place in found] == [
        ("blue", 0), ("blue", 4), ("x", 1),
    ]  # fmt: skip
    assert [call.output_tokens for call, _ in found] == [4, 4, None]
    assert found[2][0].error_type == CUT_OFF
    body = "\n".join(map(json.dumps, (piece("bl"), piece("ue"), last)))
    assert (
        one({"request": {**ASKED, "stream": True}, "response": body}).response["content"] == "blue"
    )


def test_embeddings_are_complete_without_a_text():
    vectors = {"model": "e", "embeddings": [[0.1]], "total_duration": 10**9, "prompt_eval_count": 3}
    call = one({"request": {"model": "e", "input": ["a", "b"]}, "response": vectors})
    assert (call.operation, call.status, call.input_tokens) == ("embeddings", "ok", 3)
    assert [message["content"] for message in call.messages] == ["a", "b"]


def test_an_error_in_place_of_an_answer_is_an_error_row():
    call = one({"request": ASKED, "response": {"error": "model 'x' not found"}})
    assert (call.status, call.error_type) == ("error", "model 'x' not found")


@pytest.mark.parametrize("key", ["message", "created_at", "total_duration", "eval_count"])
@pytest.mark.parametrize("odd", [[1], {"a": 1}, "x", 3])
def test_odd_values_are_read_or_refused(key: str, odd: Any):
    with contextlib.suppress(UnreadableError):
        assert list(ollama.records({**CHAT, key: odd}))
