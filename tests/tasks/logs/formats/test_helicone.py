from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import helicone
from tasks.logs.shapes.records import Call, Dead, Feedback, Other, UnreadableError

NO_CACHE = "00000000-0000-0000-0000-000000000000"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
SAID = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m-2", "choices": [
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ho"}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}}  # fmt: skip


def row(**changes: Any) -> dict[str, Any]:
    return {
        "request_id": "q", "response_id": "a", "request_created_at": "2026-01-02T03:04:05.000Z",
        "response_created_at": "2026-01-02T03:04:06.500Z", "response_status": 200,
        "request_path": "https://api.openai.com/v1/chat/completions", "provider": "OPENAI",
        "target_url": "https://api.openai.com/v1/chat/completions", "request_user_id": "ann",
        "request_properties": {"Helicone-Session-Id": "s", "team": "x", "release": "v1"},
        "request_body": ASKED, "response_body": SAID, "delay_ms": 1500, "time_to_first_token": 250,
        "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5,
        "prompt_id": "support", "prompt_version": "7", "cache_reference_id": NO_CACHE,
        "feedback_rating": True, "feedback_created_at": "2026-01-03T00:00:00Z",
        "scores": {"tone": 4, "ok-hcone-bool": {"value": 1, "valueType": "boolean"}},
        "country_code": "DE", **changes,
    }  # fmt: skip


def one(value: Any) -> Call:
    (found,) = helicone.records(value)
    assert isinstance(found, Call)
    return found


@pytest.mark.parametrize("wrap", [lambda line: line, lambda line: {"data": [line], "error": None}])
def test_every_field_of_a_row(wrap: Any):
    value = wrap(row())
    assert formats.recognise(value) is helicone
    call = one(value)
    # a cached answer repeats the id of the response, the request has one of its own
    assert (call.request_id, call.tags["response_id"]) == ("q", "chatcmpl-1")
    assert (call.model, call.provider, call.operation) == ("m-2", "openai", "chat")
    assert (str(call.started_at), call.latency_s, call.ttft_s) == ("2026-01-02 03:04:05", 1.5, 0.25)
    assert call.messages == ASKED["messages"]
    assert call.response == {"role": "assistant", "content": "ho"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (12, 5, 17)
    assert (call.user, call.session_id, call.release) == ("ann", "s", "v1")
    assert (call.prompt_name, call.prompt_version) == ("support", "7")
    assert (call.cost_usd, call.http_status, call.status) == (0.5, 200, "ok")
    assert (call.params, call.finish_reason) == ({"temperature": 0}, "stop")
    assert (call.tags["team"], call.tags["country_code"]) == ("x", "DE")
    assert [(each.kind, each.value) for each in call.feedback] == [
        ("thumbs", 1.0), ("tone", 4.0), ("ok", 1.0),
    ]  # fmt: skip
    assert str(call.feedback[0].given_at) == "2026-01-03 00:00:00"


def test_a_row_of_csv_of_the_export_tool():
    line = {
        "response_id": "a", "response_created_at": "2026-01-02T03:04:06.500Z",
        "response_status": "200", "request_created_at": "2026-01-02T03:04:05.000Z",
        "request_body": json.dumps(ASKED), "request_properties": '{"Helicone-Session-Id":"s"}',
        "request_user_id": "ann", "model": "m", "prompt_tokens": "12", "completion_tokens": "5",
        "latency": "1500", "cost": "0.5",
    }  # fmt: skip
    assert formats.recognise(line) is helicone
    call = one(line)
    assert (call.request_id, call.session_id, call.model) == ("a", "s", "m")
    assert (call.input_tokens, call.output_tokens, call.latency_s) == (12, 5, 1.5)
    # it tells no answer, which is no missing one
    assert (call.status, call.response, call.provider) == ("ok", None, "openai")


def test_counts_of_the_row_where_the_body_has_none_and_the_cache_is_beside_them():
    counts = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_read_tokens": 40,
              "prompt_cache_write_tokens": 2, "total_tokens": 57}  # fmt: skip
    call = one(row(response_body=None, **counts))
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (52, 5, 40)
    call = one(row(response_body="", **{**counts, "total_tokens": 15}))
    assert (call.input_tokens, call.output_tokens) == (10, 5)


def test_an_answer_of_the_cache_of_helicone_has_no_tokens():
    call = one(row(cache_reference_id="other", cost=0))
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (None, None, 0.0)
    assert (call.tags["cache_hit"], call.response["content"]) == ("other", "ho")


def test_bodies_of_other_apis_and_streams():
    message = {"type": "message", "id": "msg", "role": "assistant", "model": "c",
               "content": [{"type": "text", "text": "ho"}], "stop_reason": "end_turn",
               "usage": {"input_tokens": 3, "output_tokens": 1}}  # fmt: skip
    url = "https://api.anthropic.com/v1/messages"
    call = one(row(response_body=message, provider="CUSTOM", target_url=url, request_path="/"))
    assert (call.response["content"], call.input_tokens) == ("ho", 3)
    chunk = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [
        {"index": 0, "delta": {"content": "ho"}}]}  # fmt: skip
    call = one(row(response_body={"streamed_data": f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n"}))
    assert call.response["content"] == "ho"


def test_failures_are_calls_with_errors():
    failed = one(row(response_status=429, response_body={"error": {"code": "rate_limited"}}))
    assert (failed.status, failed.error_type, failed.http_status) == ("error", "rate_limited", 429)
    gone = one(row(response_status=-3, response_body=None))
    assert (gone.status, gone.error_type, gone.http_status) == ("error", "cancelled", None)


def test_tools_and_data_that_are_logged_as_requests_are_no_calls():
    assert list(helicone.records(row(request_body={"_type": "tool", "toolName": "f"}))) == [Other()]


def test_thumbs_down_also_as_text_and_scores_that_are_none():
    found = list(helicone.records(row(feedback_rating="false", scores={"tone": "warm"})))
    dead, call = found
    assert isinstance(dead, Dead)
    assert isinstance(call, Call)
    assert [(each.kind, each.value) for each in call.feedback] == [("thumbs", -1.0)]
    assert isinstance(call.feedback[0], Feedback)


@pytest.mark.parametrize("value", [{}, {"request_created_at": 1}, {"data": [1]}, 5])
def test_what_only_looks_like_it_is_not_taken(value: Any):
    assert not helicone.matches(value)
    with pytest.raises(UnreadableError):
        list(helicone.records(value))
