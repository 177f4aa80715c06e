"""LiteLLM, Envoy AI Gateway and Kong: what a gateway writes beside the call."""

from __future__ import annotations

import json
from datetime import datetime
from types import ModuleType
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import envoy, kong, litellm
from tasks.logs.shapes.records import Call, Other, UnreadableError

STANDARD = {
    "id": "chatcmpl-1", "trace_id": "t", "call_type": "acompletion", "stream": True,
    "status": "success", "custom_llm_provider": "openai", "response_cost": 0.5,
    "startTime": 1_700_000_000.0, "endTime": 1_700_000_002.5, "completionStartTime": 1_700_000_001,
    "model": "gpt-4o", "prompt_tokens": 10, "completion_tokens": "20", "total_tokens": 30,
    "cache_hit": None, "end_user": "ann", "request_tags": ["a"],
    "messages": [{"role": "user", "content": "hi"}], "model_parameters": {"temperature": 0},
    "response": {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o",
                 "choices": [{"message": {"content": "ho"}, "finish_reason": "stop"}],
                 "usage": {"completion_tokens_details": {"reasoning_tokens": 5}}},
    "metadata": {"user_api_key_alias": "k"},
    "error_information": {"error_code": "", "error_class": ""},
}  # fmt: skip
SPEND = {
    "request_id": "chatcmpl-2", "call_type": "acompletion", "spend": 0.1, "cache_hit": "None",
    "startTime": "2025-01-24 09:20:46.847371", "endTime": "2025-01-24 09:20:47.847371",
    "completionStartTime": "2025-01-24 09:20:47.847371", "model": "gpt-4o", "prompt_tokens": 1,
    "completion_tokens": 2, "total_tokens": 3, "messages": "{}", "response": "{}",
    "metadata": json.dumps({"usage_object": {"prompt_tokens_details": {"cached_tokens": 1}}}),
    "status": "success",
}  # fmt: skip
ENVOY = {
    "gen_ai.request.model": "gpt-4o-mini", "gen_ai.request.model_override": None,
    "gen_ai.usage.input_tokens": "15", "gen_ai.usage.output_tokens": 7, "duration": 1526,
    "gen_ai.usage.total_tokens": 22, "response_code": 200, "start_time": "2025-08-30T16:51:37.894Z",
    "x-envoy-origin-path": "/v1/chat/completions", "x-request-id": "r1", "response_flags": "-",
}  # fmt: skip
KONG = {
    "ai": {
        "payload": {"request": json.dumps({"messages": [{"role": "user", "content": "hi"}]})},
        "proxy": {
            "payload": {"response": json.dumps({"choices": [{"message": {"content": "ho"}}],
                                                "model": "command"})},
            "usage": {"prompt_tokens": 14, "completion_tokens": 21, "total_tokens": 35, "cost": 0.2,
                      "time_to_first_token": 631},
            "meta": {"request_model": "cmd", "response_model": "command",
                     "provider_name": "cohere", "llm_latency": 2670},
            "cache": {"cache_status": "Hit"},
        },
        "sanitizer": {"sanitized_items": [{"original": "jane@example.com"}]},
    },
    "request": {"id": "k1"}, "response": {"status": 200}, "started_at": 1_787_113_201_719,
    "route": {"name": "chat"},
}  # fmt: skip
MODULES = [(litellm, STANDARD), (litellm, SPEND), (envoy, ENVOY), (kong, KONG)]


def one(module: ModuleType, value: Any) -> Call:
    (found,) = module.records(value)
    assert isinstance(found, Call)
    return found


@pytest.mark.parametrize(("module", "value"), MODULES)
def test_each_is_recognised_as_itself(module: ModuleType, value: Any):
    assert formats.recognise(value) is module
    with pytest.raises(UnreadableError):
        list(module.records([]))
    with pytest.raises(UnreadableError):
        list(module.records({"a": 1}))


def test_standard_payload():
    call = one(litellm, STANDARD)
    assert (call.request_id, call.model, call.provider) == ("chatcmpl-1", "gpt-4o", "openai")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (10, 20, 30)
    assert (call.reasoning_tokens, call.latency_s, call.ttft_s) == (5, 2.5, 1.0)
    assert (call.session_id, call.user, call.cost_usd) == ("t", "ann", 0.5)
    assert (call.response, call.status) == ({"role": "assistant", "content": "ho"}, "ok")
    assert call.tags["user_api_key_alias"] == "k"


def test_spend_log_times_without_zone_are_utc_and_the_text_none_is_nothing():
    call = one(litellm, SPEND)
    assert call.started_at == datetime(2025, 1, 24, 9, 20, 46, 847371)  # noqa: DTZ001
    assert (call.messages, call.response, call.status) == (None, None, "ok")
    assert (call.latency_s, call.ttft_s, call.cached_tokens) == (1.0, None, 1)
    assert "cache_hit" not in call.tags


def test_a_failure_is_named_and_a_guardrail_block_is_a_verdict():
    failed = {**STANDARD, "status": "failure", "response": None, "error_str": "slow down",
              "error_information": {"error_code": "429", "error_class": "RateLimitError"},
              }  # fmt: skip
    call = one(litellm, failed)
    assert (call.status, call.error_type, call.http_status) == ("error", "RateLimitError", 429)
    blocked = one(litellm, {**failed, "guardrail_information": [
        {"guardrail_name": "pii", "guardrail_status": "guardrail_intervened",
         "guardrail_mode": "pre_call"}]})  # fmt: skip
    assert (blocked.status, blocked.error_type, blocked.http_status) == ("ok", None, None)
    assert blocked.guardrail_verdicts[0]["action"] == "blocked"
    masked = one(litellm, {**STANDARD, "guardrail_information": {
        "guardrail_name": "pii", "guardrail_status": "success",
        "masked_entity_count": {"CARD": 2}}})  # fmt: skip
    assert [each["action"] for each in masked.guardrail_verdicts] == ["masked"]
    assert list(litellm.records({**STANDARD, "call_type": "call_mcp_tool"})) == [Other()]
    empty = one(litellm, {**STANDARD, "response": {"choices": [], "model": "m"}})
    assert (empty.status, empty.error_type) == ("error", "no_completion")


def test_envoy_entry():
    call = one(envoy, ENVOY)
    assert (call.request_id, call.model, call.http_status) == ("r1", "gpt-4o-mini", 200)
    assert (call.input_tokens, call.output_tokens, call.latency_s) == (15, 7, 1.526)
    assert (call.operation, call.status, call.response) == ("chat", "ok", None)


@pytest.mark.parametrize(
    "change",
    [
        {"mcp.method.name": "tools/call"},
        {"gen_ai.request.model": None, "gen_ai.usage.input_tokens": None,
         "gen_ai.usage.output_tokens": "-", "gen_ai.usage.total_tokens": None},
    ],
)  # fmt: skip
def test_envoy_nulls_are_a_tool_call_and_no_llm_call(change: dict[str, Any]):
    assert list(envoy.records({**ENVOY, **change})) == [Other()]


def test_envoy_errors():
    call = one(envoy, {**ENVOY, "response_code": 503})
    assert (call.status, call.error_type, call.http_status) == ("error", "503", 503)
    gone = one(envoy, {**ENVOY, "response_code": 0, "response_flags": "DC"})
    assert (gone.error_type, gone.http_status) == ("DC", None)


def test_kong_entry():
    call = one(kong, KONG)
    assert (call.request_id, call.model, call.provider) == ("k1", "command", "cohere")
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (14, 21, 0.2)
    assert (call.ttft_s, call.latency_s, call.status) == (0.631, 2.67, "ok")
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response["content"] == "ho"
    assert (call.tags["request_model"], call.tags["kong_route"]) == ("cmd", "chat")
    assert "jane@example.com" not in str(call)


def test_kong_guardrail_block_is_a_verdict_and_an_empty_reason_a_pass():
    proxy = {**KONG["ai"]["proxy"], "aws-guardrails": {
        "input_block_reason": "violence", "output_block_reason": ""}}  # type: ignore[index]  # fmt: skip
    call = one(kong, {**KONG, "ai": {"proxy": proxy}, "response": {"status": 400}})
    assert (call.status, call.http_status, call.finish_reason) == ("ok", None, "content_filter")
    assert [each["action"] for each in call.guardrail_verdicts] == ["blocked", "passed"]
    failed = one(kong, {**KONG, "response": {"status": 502}})
    assert (failed.status, failed.error_type) == ("error", "502")


def test_kong_tool_traffic_is_no_call_and_two_plugins_are_two_calls():
    assert list(kong.records({"ai": {"mcp": {"rpc": []}}})) == [Other()]
    assert kong.matches({"ai": {"mcp": {"rpc": []}}})
    twice = {"ai-proxy": KONG["ai"]["proxy"], "ai-request-transformer": KONG["ai"]["proxy"]}  # type: ignore[index]
    ids = [each.request_id for each in kong.records({**KONG, "ai": twice})]
    assert ids == ["k1:ai-proxy", "k1:ai-request-transformer"]
