from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs.formats import exchange as exchange_module
from tasks.logs.formats import openai_chat
from tasks.logs.shapes.records import Call, Dead, Feedback, Other, UnreadableError

REQUEST = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Capital of France?"}],
    "temperature": 0.2,
    "user": "ann",
}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_752_720_361,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Paris", "refusal": None},
         "finish_reason": "stop"}
    ],
    "usage": {
        "prompt_tokens": 14, "completion_tokens": 7, "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}  # fmt: skip


def one(value: Any) -> Call:
    (found,) = openai_chat.records(value)
    assert isinstance(found, Call)
    return found


def pair(**line: Any) -> dict[str, Any]:
    return {"request": REQUEST, "response": COMPLETION, **line}


def test_a_pair_is_one_call():
    call = one(pair())
    assert (call.request_id, call.model, call.provider) == (
        "chatcmpl-1", "gpt-4o-2024-08-06", "openai",
    )  # fmt: skip
    assert call.messages == REQUEST["messages"]
    assert call.response == {"role": "assistant", "content": "Paris"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (14, 7, 21)
    assert (call.cached_tokens, call.reasoning_tokens) == (3, 2)
    assert (call.finish_reason, call.status, call.error_type) == ("stop", "ok", None)
    assert call.params == {"temperature": 0.2}
    assert call.user == "ann"
    assert call.started_at == datetime(2025, 7, 17, 2, 46, 1)  # noqa: DTZ001
    assert call.tags == {"request_model": "gpt-4o"}


def test_what_the_line_says_around_the_bodies():
    call = one(
        pair(
            timestamp="2026-01-01T00:00:00Z", latency_ms=1500, ttft_ms=200, status_code="200",
            metadata={"session_id": "s", "prompt_name": "triage", "prompt_version": 2,
                      "release": "v7", "team": "x"},
            feedback="down", region="eu", request_id="mine",
        )
    )  # fmt: skip
    assert (call.latency_s, call.ttft_s, call.http_status) == (1.5, 0.2, 200)
    assert (call.session_id, call.prompt_name, call.prompt_version, call.release) == (
        "s", "triage", "2", "v7",
    )  # fmt: skip
    assert call.feedback == (Feedback("thumbs", value=-1.0),)
    assert call.tags["team"] == "x"
    assert call.tags["region"] == "eu"
    assert call.tags["request_id"] == "mine"
    assert call.started_at == datetime(2026, 1, 1)  # noqa: DTZ001
    assert one(pair(latency_s=2, latency_ms=1)).latency_s == 2.0


@pytest.mark.parametrize(
    "wrapped",
    [
        {"request": {"body": REQUEST}, "response": {"status_code": 200, "body": COMPLETION}},
        {"request": {"body": json.dumps(REQUEST)}, "response": {"body": json.dumps(COMPLETION)}},
        {"request": REQUEST, "response": json.dumps(COMPLETION)},
    ],
)
def test_bodies_may_be_wrapped_or_json_text(wrapped: dict[str, Any]):
    assert openai_chat.matches(wrapped)
    call = one(wrapped)
    assert (call.response, call.input_tokens) == ({"role": "assistant", "content": "Paris"}, 14)


def test_a_stored_completion_stands_alone_with_its_messages():
    call = one({**COMPLETION, "messages": REQUEST["messages"], "metadata": {"release": "v1"}})
    assert (call.messages, call.release) == (REQUEST["messages"], "v1")
    bare = one(COMPLETION)
    assert (bare.messages, bare.response) == (None, {"role": "assistant", "content": "Paris"})


@pytest.mark.parametrize("body", ["OK", {"choices": []}, {"choices": [{"message": {}}]}, None, {}])
def test_http_200_without_a_completion_is_an_error_row_never_an_answer(body: Any):
    call = one({"request": REQUEST, "response": {"status_code": 200, "body": body}})
    assert (call.status, call.error_type, call.response) == ("error", "no_completion", None)
    assert call.http_status == 200


@pytest.mark.parametrize(
    ("line", "error_type"),
    [
        ({"response": {"error": {"code": "rate_limit_exceeded", "type": "x"}}},
         "rate_limit_exceeded"),
        ({"response": {"error": {"type": "server_error", "code": None}}}, "server_error"),
        ({"response": None, "error": "timeout"}, "timeout"),
        ({"response": None, "error": {"message": "?"}}, "error"),
        ({"response": None, "error": {"error": {"code": 7}}}, "7"),
        ({"response": {"status_code": 503, "body": "busy"}}, "503"),
    ],
)  # fmt: skip
def test_errors_are_named(line: dict[str, Any], error_type: str):
    call = one({"request": REQUEST, **line})
    assert (call.status, call.error_type) == ("error", error_type)


def test_tool_calls_and_further_choices():
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    other = {"message": {"role": "assistant", "content": "b"}}
    call = one(pair(response={**COMPLETION, "choices": [{"message": message}, other]}))
    assert call.tool_calls == [{"id": "c"}]
    assert call.tags["other_choices"] == [{"role": "assistant", "content": "b"}]


def test_text_completions_have_prompt_and_text():
    line = {"request": {"model": "m", "prompt": "Once"},
            "response": {"object": "text_completion", "choices": [{"text": " upon"}]}}  # fmt: skip
    call = one(line)
    assert (call.operation, call.messages) == (
        "text_completion", [{"role": "user", "content": "Once"}],
    )  # fmt: skip
    assert call.response == {"role": "assistant", "content": " upon"}


def chunk(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}  # fmt: skip


def test_stream_chunks_are_put_together():
    chunks = [chunk(role="assistant", content="Pa"), chunk(content="ris"),
              chunk(finish="stop"),
              {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]  # fmt: skip
    stream = "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n"
    for response in (chunks, {"body": stream}):
        call = one({"request": REQUEST, "response": response})
        assert call.response == {"role": "assistant", "content": "Paris"}
        assert (call.finish_reason, call.input_tokens, call.output_tokens) == ("stop", 3, 2)


def test_streamed_tool_calls_are_put_together():
    def part(**function: Any) -> dict[str, Any]:
        return {"index": 0, "id": "t1" if "name" in function else None, "function": function}

    chunks = [chunk(tool_calls=[part(name="f", arguments="{\"a\"")]),
              chunk(tool_calls=[part(arguments=": 1}")], finish="tool_calls")]  # fmt: skip
    call = one({"request": REQUEST, "response": chunks})
    assert call.tool_calls == [{"id": "t1", "function": {"name": "f", "arguments": '{"a": 1}'}}]


def test_a_broken_stream_is_no_answer():
    call = one({"request": REQUEST, "response": {"body": "data: {broken"}})
    assert (call.error_type, call.tags["response_body"]) == ("no_completion", "data: {broken")
    assert one({"request": REQUEST, "response": [5]}).error_type == "no_completion"


def exchange(uri: str = "https://api.openai.com/v1/chat/completions", **response: Any) -> Any:
    request = {"uri": uri, "parsed_body": REQUEST, "headers": {"authorization": ["x"]}}
    answer = response or {"status": {"code": 200}, "parsed_body": COMPLETION}
    return {"request": request, "response": answer}


def test_a_cassette_gives_one_call_an_exchange_with_a_model():
    listed = exchange("https://api.openai.com/v1/files", parsed_body={"id": "file-1"})
    cassette = {"interactions": [exchange(), listed, 5]}
    assert openai_chat.matches(cassette)
    call, *rest = openai_chat.records(cassette)
    assert isinstance(call, Call)
    assert (call.request_id, call.http_status, call.provider) == ("chatcmpl-1", 200, "openai")
    assert "x" not in str(call.tags.get("authorization", ""))
    assert [type(each) for each in rest] == [Other, Dead]


def test_a_cassette_answer_that_is_no_completion_is_an_error_row():
    body = {"body": {"string": "method=POST"}, "status": {"code": 200}}
    (call,) = openai_chat.records(
        {"interactions": [exchange("https://x.dev/chat/completions", **body)]}
    )
    assert isinstance(call, Call)
    assert (call.error_type, call.provider) == ("no_completion", "x.dev")
    headers_only = exchange(status={"code": 204}, headers={})
    (empty,) = openai_chat.records({"interactions": [headers_only]})
    assert isinstance(empty, Call)
    assert empty.error_type == "no_completion"


def test_a_cassette_exchange_with_bad_numbers_is_a_dead_letter_and_the_rest_goes_on():
    bad = exchange(
        status={"code": 200}, parsed_body={**COMPLETION, "usage": {"prompt_tokens": "x"}}
    )
    found = list(openai_chat.records({"interactions": [bad, exchange()]}))
    assert [type(each) for each in found] == [Dead, Call]


def test_cassettes_of_other_services_are_not_ours():
    assert not openai_chat.matches(
        {"interactions": [exchange("https://api.anthropic.com/v1/messages")]}
    )
    assert exchange_module.host_of("http://[broken") is None
    assert exchange_module.provider_of("a.openai.azure.com", "openai") == "azure.ai.openai"


def test_feedback_alone_and_broken_feedback():
    (alone,) = openai_chat.records({"record": "feedback", "request_id": "x", "value": 1})
    assert alone == Feedback("thumbs", request_id="x", value=1.0)
    call, dead = openai_chat.records(pair(feedback={"value": 9}))
    assert isinstance(call, Call)
    assert isinstance(dead, Dead)


@pytest.mark.parametrize("value", [5, {}, {"request": 5, "response": {}}, {"request": {}}])
def test_what_is_no_exchange_is_unreadable(value: Any):
    with pytest.raises(UnreadableError):
        list(openai_chat.records(value))


def test_a_request_without_messages_or_answer_is_not_taken_for_ours():
    assert not openai_chat.matches({"request": {"url": "/x"}, "response": {"status": 200}})
    assert not openai_chat.matches([1])
    assert not openai_chat.matches({"choices": []})


def test_five_fields_of_a_data_flywheel_log():
    line = {"timestamp": 1_700_000_000, "workload_id": "triage", "client_id": "c", **pair()}
    call = one(line)
    assert (call.prompt_name, call.tags["client_id"]) == ("triage", "c")
    assert call.started_at == datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001


def test_content_in_text_parts_becomes_the_text_and_other_parts_stay():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    image = [{"type": "image_url", "image_url": {"url": "data:x"}}]
    request = {**REQUEST, "messages": [{"role": "user", "content": parts},
                                       {"role": "user", "content": image}]}  # fmt: skip
    call = one(pair(request=request))
    assert [message["content"] for message in call.messages] == ["ab", image]


def test_streams_of_text_completions_and_of_content_in_parts():
    pieces = [{"object": "text_completion", "model": "m", "choices": [{"index": 0, "text": text}]}
              for text in ("Once", " upon")]  # fmt: skip
    call = one({"request": {"prompt": "x"}, "response": pieces})
    assert call.response == {"role": "assistant", "content": "Once upon"}
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    call = one({"request": REQUEST, "response": [chunk(content=thinking), chunk(content="ho")]})
    assert (call.response["content"], call.response["reasoning"]) == ("ho", "hm")


def test_event_streams_may_begin_with_a_comment_and_counts_stand_elsewhere():
    last = {**chunk(finish="stop"), "x_groq": {"usage": {"prompt_tokens": 3}}}
    stream = (
        f": PROCESSING\n\ndata: {json.dumps(chunk(content='ho'))}\n\ndata: {json.dumps(last)}\n"
    )
    call = one({"request": REQUEST, "response": {"body": stream}})
    assert (call.response["content"], call.input_tokens) == ("ho", 3)


def test_go_vcr_has_the_status_as_text():
    item = exchange(status="200 OK", code=200, body=json.dumps(COMPLETION))
    item["request"] = {"url": "https://api.openai.com/v1/chat/completions#stream",
                       "body": json.dumps(REQUEST)}  # fmt: skip
    cassette = {"interactions": [item]}
    assert openai_chat.matches(cassette)
    call = one(cassette)
    assert (call.http_status, call.request_id) == (200, "chatcmpl-1")


def test_embeddings_are_complete_without_a_message():
    body = {"object": "list", "model": "e-1", "data": [{"embedding": [0.1]}],
            "usage": {"prompt_tokens": 4, "total_tokens": 4}}  # fmt: skip
    item = exchange("https://api.openai.com/v1/embeddings", parsed_body=body)
    item["request"]["parsed_body"] = {"model": "e", "input": "hi"}
    assert openai_chat.matches({"interactions": [item]})
    call = one({"interactions": [item]})
    assert (call.operation, call.status, call.response) == ("embeddings", "ok", None)
    assert (call.input_tokens, call.messages) == (4, [{"role": "user", "content": "hi"}])
