from __future__ import annotations

from typing import Any

import pytest

from tasks.logs.formats import NAMES, anthropic, gemini, openai_chat, recognise
from tasks.logs.shapes.records import Call, Dead, Other

REQUEST = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "Weather in Oslo?"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"sky": "rain"}}}]},
    ],
    "generationConfig": {"temperature": 0, "maxOutputTokens": 64},
    "tools": [{"functionDeclarations": [{"name": "weather"}]}],
}  # fmt: skip
RESPONSE = {
    "candidates": [
        {"content": {"role": "model", "parts": [
            {"text": "short", "thought": True}, {"text": "Rain "}, {"text": "today."}]},
         "finishReason": "STOP", "index": 0, "avgLogprobs": -0.1}],
    "usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 8,
                      "toolUsePromptTokenCount": 3, "candidatesTokenCount": 4,
                      "thoughtsTokenCount": 6, "totalTokenCount": 33},
    "modelVersion": "gemini-2.5-flash", "responseId": "abc",
}  # fmt: skip
URI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:{}?alt=sse"


def one(value: Any) -> Call:
    assert gemini.matches(value)
    assert recognise(value) is gemini
    (found,) = gemini.records(value)
    assert isinstance(found, Call)
    return found


def test_a_pair_is_one_call_with_thoughts_in_the_output():
    line = {"request": REQUEST, "response": RESPONSE}
    assert not openai_chat.matches(line)
    assert not anthropic.matches(line)
    call = one(line)
    assert (call.request_id, call.model, call.provider) == ("abc", "gemini-2.5-flash", "gcp.gemini")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (23, 10, 33)
    assert (call.cached_tokens, call.reasoning_tokens) == (8, 6)
    assert (call.finish_reason, call.status, call.operation) == ("stop", "ok", "chat")
    assert call.response == {"role": "assistant", "content": "Rain today.", "reasoning": "short"}
    assert call.params is not None
    assert set(call.params) == {"generationConfig", "tools"}


def test_contents_become_messages_and_results_are_tool_messages():
    system, user, calling, result = one({"request": REQUEST, "response": RESPONSE}).messages
    assert system == {"role": "system", "content": "Be brief."}
    assert user == {"role": "user", "content": "Weather in Oslo?"}
    assert calling["role"] == "assistant"
    assert calling["tool_calls"][0]["function"] == {
        "name": "weather", "arguments": '{"city":"Oslo"}',
    }  # fmt: skip
    assert result == {"role": "tool", "tool_call_id": "weather", "content": '{"sky":"rain"}'}


def test_chunks_of_a_stream_add_up_to_the_answer():
    def chunk(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
        candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
        return {"candidates": [candidate], "responseId": "abc",
                "usageMetadata": {"promptTokenCount": 5}}  # fmt: skip

    last = chunk({"text": "."}, finishReason="MAX_TOKENS")
    last["usageMetadata"] = {"promptTokenCount": 5, "candidatesTokenCount": 3}
    chunks = [
        chunk({"text": "hm", "thought": True}),
        chunk({"text": "mm", "thought": True}, {"text": "Ra"}),
        chunk({"text": "in"}, {"functionCall": {"name": "f", "args": {}}}),
        last,
    ]
    call = one({"request": REQUEST, "response": chunks})
    assert call.response is not None
    assert call.response["reasoning"] == "hmmm"
    assert call.response["content"] == "Rain."
    assert [each["function"]["name"] for each in call.tool_calls] == ["f"]
    assert (call.finish_reason, call.input_tokens, call.output_tokens) == ("length", 5, 3)


def test_names_of_the_python_sdk_are_the_same():
    line = {
        "request": {"model": "gemini-2.0-flash", "contents": "hi",
                    "config": {"system_instruction": "Be kind."}},
        "response": {
            "candidates": [{"content": {"parts": [{"text": "hello"}], "role": "model"},
                            "finish_reason": "FinishReason.STOP"}],
            "usage_metadata": {"prompt_token_count": 2, "candidates_token_count": 1},
            "model_version": "gemini-2.0-flash-001", "response_id": "r9"},
    }  # fmt: skip
    call = one(line)
    assert [each["content"] for each in call.messages] == ["Be kind.", "hi"]
    assert (call.request_id, call.model, call.finish_reason) == (
        "r9", "gemini-2.0-flash-001", "stop",
    )  # fmt: skip
    assert (call.input_tokens, call.output_tokens) == (2, 1)


@pytest.mark.parametrize(
    ("response", "stage"),
    [
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
          "usageMetadata": {"promptTokenCount": 7}}, "input"),
        ({"candidates": [{"finishReason": "SAFETY", "index": 0, "safetyRatings": [
            {"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH", "blocked": True}]}],
          "usageMetadata": {"promptTokenCount": 7}}, "output"),
    ],
)  # fmt: skip
def test_what_a_safety_filter_held_back_is_a_verdict_and_no_error(response, stage):
    call = one({"request": REQUEST, "response": response, "status_code": 200})
    assert (call.status, call.error_type, call.response) == ("ok", None, None)
    assert call.finish_reason == "content_filter"
    (found,) = call.guardrail_verdicts
    assert (found["guardrail"], found["action"], found["stage"]) == ("gemini", "blocked", stage)
    assert call.input_tokens == 7


def test_thoughts_alone_are_no_answer():
    response = {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}],
                "usageMetadata": {"promptTokenCount": 7, "thoughtsTokenCount": 60}}  # fmt: skip
    call = one({"request": REQUEST, "response": response, "status_code": 200})
    assert (call.status, call.error_type, call.output_tokens) == ("error", "no_completion", 60)


def test_an_error_is_an_error():
    error = {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}
    call = one({"request": REQUEST, "response": {"error": error}, "status_code": 429})
    assert (call.status, call.error_type, call.http_status) == ("error", "429", 429)


def test_a_cassette_names_the_model_in_its_address():
    recorded = {
        "interactions": [
            {"request": {"uri": URI.format("countTokens"), "body": {"contents": []}},
             "response": {"body": {"totalTokens": 3}, "status": {"code": 200}}},
            {"request": {"uri": URI.format("streamGenerateContent"), "body": REQUEST},
             "response": {"body": {k: v for k, v in RESPONSE.items() if k != "modelVersion"},
                          "status": {"code": 200}}},
        ]
    }  # fmt: skip
    counted, call = gemini.records(recorded)
    assert isinstance(counted, Other)
    assert isinstance(call, Call)
    assert call.model == "gemini-2.5-pro"
    assert call.provider == "gcp.gemini"


@pytest.mark.parametrize("contents", [None, [], 5, [5], [{"parts": 5}], [{"role": 3}], "", {}])
def test_odd_contents_are_read_or_refused_in_words(contents):
    found = list(gemini.records({"request": {"contents": contents}, "response": RESPONSE}))
    assert len(found) == 1
    assert isinstance(found[0], Call | Dead)


def test_it_can_be_forced():
    assert "gemini" in NAMES


@pytest.mark.parametrize(("number", "reason"), [(1, "stop"), (2, "length"), (11, "11")])
def test_the_reason_as_protobuf_has_it(number: int, reason: str):
    answer = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finish_reason": number}]}
    (call,) = gemini.records({"request": {"contents": "q"}, "response": answer})
    assert (call.finish_reason, call.status) == (reason, "ok")  # type: ignore[union-attr]


def test_a_reason_of_protobuf_that_blocks():
    answer = {"candidates": [{"content": {"parts": []}, "finish_reason": 3}]}
    (call,) = gemini.records({"request": {"contents": "q"}, "response": answer})
    assert call.guardrail_verdicts[0]["action"] == "blocked"  # type: ignore[union-attr]
