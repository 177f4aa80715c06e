"""Cloudflare AI Gateway, OpenRouter, Portkey: what a gateway writes beside the call."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import azure, cloudflare, envoy, litellm, openrouter, portkey, vertex
from tasks.logs.shapes.records import Call, Dead, Feedback, Other, UnreadableError
from tests.tasks.logs.formats.test_clouds import COUNTS, LOGGED, PREDICTED
from tests.tasks.logs.formats.test_gateways import ENVOY, SPEND, STANDARD
from tests.tasks.logs.formats.test_openai_chat import COMPLETION, REQUEST

CLOUDFLARE = {
    "id": "log-1", "created_at": "2026-02-03 04:05:06", "provider": "workers-ai",
    "model": "@cf/meta/llama-3.1-8b-instruct", "path": "chat/completions", "duration": 812,
    "status_code": 200, "success": True, "cached": False, "tokens_in": 9, "tokens_out": 4,
    "cost": 0.002, "step": 1, "metadata": '{"user_id": "ann", "session_id": "s", "team": "t"}',
    "feedback": -1, "score": 40,
}  # fmt: skip
PUSHED = {
    "Gateway": "g", "Provider": "google-ai-studio", "Model": "gemini-2.5-flash", "Cached": True,
    "StatusCode": 200, "Endpoint": "v1beta/models/gemini-2.5-flash:generateContent",
    "Timestamp": "2026-02-03T04:05:06Z", "Metrics": {"cost": 0.5, "durationMs": 12},
    "RequestBody": {"type": "encrypted", "data": "AAAA"}, "Metadata": {"prompt_name": "p"},
    "RequestedModel": "cloudflare/auto",
}  # fmt: skip
ACTIVITY = {
    "generation_id": "gen-1", "created_at": "2026-02-03 04:05:06.789", "cost_total": "0.0025",
    "cost_cache": "", "tokens_prompt": "120", "tokens_completion": "40", "tokens_reasoning": "30",
    "tokens_cached": "100", "model_permaslug": "anthropic/claude-4.5-sonnet-20250929",
    "provider_name": "Amazon Bedrock", "variant": "standard", "cancelled": "false",
    "streamed": "true", "user": "ann", "finish_reason_raw": "end_turn",
    "finish_reason_normalized": "stop", "generation_time_ms": "2100",
    "time_to_first_token_ms": "300", "app_name": "shop", "api_key_name": "prod",
}  # fmt: skip
GENERATION = {
    "id": "gen-2", "upstream_id": "chatcmpl-9", "total_cost": 0.004, "usage": 0.004,
    "created_at": "2026-02-03T04:05:06.5+00:00", "model": "x-ai/grok-4", "provider_name": "xAI",
    "streamed": True, "cancelled": False, "latency": 400, "generation_time": 3100,
    "finish_reason": "length", "tokens_prompt": 10, "tokens_completion": 20,
    "native_tokens_prompt": 12, "native_tokens_completion": 25, "native_tokens_reasoning": 5,
    "native_tokens_cached": 3, "external_user": "bob", "session_id": "s", "api_type": "completions",
}  # fmt: skip
PORTKEY = {
    "id": "pk-1", "trace_id": "t-1", "created_at": "2026-02-03T04:05:06Z", "ai_org": "azure-openai",
    "ai_model": "gpt-4o", "req_units": 11, "res_units": 6, "total_units": 17, "cost": 0.25,
    "cost_currency": "USD", "response_time": 640, "response_status_code": 200, "is_success": 1,
    "cache_status": "MISS", "prompt_slug": "route", "metadata": {"_user": "ann", "team": "t"},
    "request": {"body": REQUEST, "headers": {}}, "response": json.dumps({"body": COMPLETION}),
    "request_url": "https://api.portkey.ai/v1/chat/completions",
}  # fmt: skip
ALL = [(cloudflare, CLOUDFLARE), (cloudflare, PUSHED), (openrouter, ACTIVITY),
       (openrouter, GENERATION), (portkey, PORTKEY)]  # fmt: skip


def one(module: Any, value: Any) -> Call:
    assert formats.recognise(value) is module
    (found,) = module.records(value)
    assert isinstance(found, Call)
    return found


def test_a_log_of_cloudflare():
    call = one(cloudflare, CLOUDFLARE)
    assert (call.request_id, call.provider, call.model) == (
        "log-1", "workers-ai", "@cf/meta/llama-3.1-8b-instruct",
    )  # fmt: skip
    assert call.started_at == datetime(2026, 2, 3, 4, 5, 6)  # noqa: DTZ001
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (9, 4, 0.002)
    assert (call.latency_s, call.http_status, call.status, call.response) == (
        0.812, 200, "ok", None,
    )  # fmt: skip
    assert (call.user, call.session_id, call.tags["team"]) == ("ann", "s", "t")
    assert call.feedback == (Feedback("thumbs", value=-1.0), Feedback("rating", value=40.0))


def test_bodies_of_cloudflare_and_its_cache():
    log = {**CLOUDFLARE, "provider": "openai", "request": json.dumps(REQUEST),
           "response": json.dumps(COMPLETION)}  # fmt: skip
    call = one(cloudflare, log)
    assert (call.request_id, call.tags["request_id"]) == ("chatcmpl-1", "log-1")
    assert (call.response["content"], call.messages) == ("Paris", REQUEST["messages"])
    # the same answer once more is another call, and costs nothing
    again = one(cloudflare, {**log, "id": "log-2", "cached": True})
    assert (again.request_id, again.tags["response_id"]) == ("log-2", "chatcmpl-1")
    assert (again.cost_usd, again.tags["answered_from_cache"]) == (0.0, True)
    assert again.output_tokens == call.output_tokens
    cut = one(cloudflare, {**CLOUDFLARE, "request_head": '{"messages": [{"ro'})
    assert cut.messages is None
    failed = one(cloudflare, {**CLOUDFLARE, "success": False, "status_code": 429})
    assert (failed.status, failed.error_type) == ("error", "429")


def test_an_event_of_logpush_and_a_page_of_the_api():
    call = one(cloudflare, PUSHED)
    assert (call.provider, call.model, call.latency_s) == ("gcp.gemini", "gemini-2.5-flash", 0.012)
    assert (call.messages, call.prompt_name, call.cost_usd) == (None, "p", 0.0)
    assert call.tags["request_model"] == "cloudflare/auto"
    page = {"success": True, "result": [CLOUDFLARE, 5], "result_info": {"page": 1}}
    assert formats.recognise(page) is cloudflare
    first, second = cloudflare.records(page)
    assert isinstance(first, Call)
    assert isinstance(second, Dead)


def test_a_row_of_openrouters_activity():
    call = one(openrouter, ACTIVITY)
    assert (call.request_id, call.provider, call.user) == ("gen-1", "aws.bedrock", "ann")
    assert call.model == "anthropic/claude-4.5-sonnet-20250929"
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (120, 40, 100)
    assert (call.reasoning_tokens, call.cost_usd, call.ttft_s, call.latency_s) == (
        30, 0.0025, 0.3, 2.1,
    )  # fmt: skip
    assert (call.finish_reason, call.status) == ("stop", "ok")
    assert call.tags == {"variant": "standard", "app_name": "shop", "api_key_name": "prod"}
    assert one(openrouter, {**ACTIVITY, "cancelled": "true"}).error_type == "cancelled"


def test_a_generation_of_openrouter_counts_native_tokens():
    call = one(openrouter, {"data": GENERATION})
    assert (call.request_id, call.provider, call.session_id) == ("gen-2", "x_ai", "s")
    assert (call.input_tokens, call.output_tokens, call.reasoning_tokens) == (12, 25, 5)
    assert (call.latency_s, call.finish_reason, call.user) == (3.1, "length", "bob")
    assert call.tags["upstream_id"] == "chatcmpl-9"
    foreign = {"id": "gen-3", "model": "m", "tokens_prompt": None, "tokens_completion": None,
               "native_tokens_prompt": None}  # fmt: skip
    assert one(openrouter, foreign).input_tokens is None
    daily = {"date": "2026-02-03", "model": "m", "model_permaslug": "m", "requests": 5,
             "prompt_tokens": 100, "completion_tokens": 20, "provider_name": "OpenAI"}  # fmt: skip
    assert not openrouter.matches({"data": [daily]})


def test_a_line_of_portkeys_export():
    call = one(portkey, PORTKEY)
    assert (call.request_id, call.provider, call.model) == (
        "chatcmpl-1", "azure.ai.openai", COMPLETION["model"],
    )  # fmt: skip
    assert (call.cost_usd, call.latency_s, call.http_status) == (0.0025, 0.64, 200)
    assert (call.prompt_name, call.user, call.tags["team"]) == ("route", "ann", "t")
    assert (call.response["content"], call.tags["trace_id"]) == ("Paris", "t-1")
    assert one(portkey, {**PORTKEY, "feedback": [{"value": 5, "weight": 1}]}).feedback == (
        Feedback("rating", value=5.0),
    )
    chosen = {key: PORTKEY[key] for key in ("ai_org", "ai_model", "req_units", "res_units")}
    call = one(portkey, chosen)
    assert (call.input_tokens, call.output_tokens, call.status) == (11, 6, "ok")
    for status, cached in (("HIT", True), ("SEMANTIC HIT", True), ("MISS", False),
                           ("cache_hit", True), ("DISABLED", False)):  # fmt: skip
        call = one(portkey, {**PORTKEY, "cache_status": status})
        assert ("answered_from_cache" in call.tags) is cached
        assert (call.request_id == "pk-1") is cached
    failed = one(portkey, {**chosen, "is_success": 0, "response_status_code": 503})
    assert (failed.status, failed.error_type) == ("error", "failure")


@pytest.mark.parametrize(
    ("kind", "operation"),
    [("acompletion", "chat"), ("aresponses", "chat"), ("_aresponses_websocket", "chat"),
     ("aanthropic_messages", "chat"), ("agenerate_content_stream", "chat"),
     ("aembedding", "embeddings"), ("atext_completion", "text_completion"),
     ("aimage_generation", "image_generation"), ("atranscription", "transcription"),
     ("allm_passthrough_route", "chat"), ("_arealtime", "chat"), ("arun_thread", "chat"),
     ("of_tomorrow", "of_tomorrow"), ("acreate_thread", None), ("aget_messages", None),
     ("a_add_message", None), ("aocr", None), ("acreate_skill", None), ("avideo_content", None),
     ("acreate_realtime_client_secret", None), ("code_interpreter_tool", None),
     ("aget_responses", None), ("adelete_responses", None), ("alist_input_items", None),
     ("amoderation", None), ("arerank", None), ("asearch", None), ("call_mcp_tool", None),
     ("list_mcp_tools", None), ("/v1/mcp/call_tool", None), ("acreate_batch", None),
     ("aretrieve_batch", None), ("afile_content", None), ("avector_store_search", None)],
)  # fmt: skip
def test_what_is_a_call_of_litellm(kind: str, operation: str | None):
    (found,) = litellm.records({**STANDARD, "call_type": kind})
    assert (found.operation if isinstance(found, Call) else None) == operation
    assert isinstance(found, Call if operation else Other)


@pytest.mark.parametrize(
    ("module", "value"),
    [*ALL, (litellm, STANDARD), (vertex, LOGGED), (vertex, PREDICTED), (azure, COUNTS)],
)
def test_a_schema_of_a_log_is_no_log(module: Any, value: dict[str, Any]):
    assert module.matches(value)
    assert not module.matches({key: {"type": "string"} for key in value})


def test_an_answer_from_litellms_cache_keeps_its_tokens_and_costs_nothing():
    (call,) = litellm.records({**STANDARD, "cache_hit": True})
    assert isinstance(call, Call)
    assert (call.input_tokens, call.cost_usd) == (10, 0.0)
    assert call.tags["answered_from_cache"] is True
    (call,) = litellm.records({**SPEND, "cache_hit": "False"})
    assert isinstance(call, Call)
    assert (call.cost_usd, call.tags) == (0.1, {})


def test_litellms_failure_of_an_older_log_its_providers_and_its_clocks():
    information = {"error_code": "429", "error_class": "RateLimitError"}
    about = {"status": "failure", "error_information": information}
    row = {
        **SPEND,
        "status": None,
        "metadata": json.dumps(about),
        "custom_llm_provider": "vertex_ai",
    }
    (call,) = litellm.records(row)
    assert isinstance(call, Call)
    assert (call.error_type, call.http_status, call.provider) == (
        "RateLimitError", 429, "gcp.vertex_ai",
    )  # fmt: skip
    (call,) = litellm.records({**STANDARD, "completionStartTime": 1_600_000_000.0})
    assert isinstance(call, Call)
    assert (call.ttft_s, call.latency_s) == (None, 2.5)


def test_vectors_that_a_gateway_left_out_are_no_missing_answer():
    body = {"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 3}}
    (call,) = litellm.records({**STANDARD, "call_type": "aembedding", "response": body})
    assert isinstance(call, Call)
    assert (call.status, call.error_type, call.operation) == ("ok", None, "embeddings")


def test_a_count_of_minus_one_is_not_known():
    (call,) = envoy.records({**ENVOY, "gen_ai.usage.input_tokens": -1})
    assert isinstance(call, Call)
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (15, 7, 22)
    (call,) = formats.canonical.records({"request_id": "r", "input_tokens": -1, "output_tokens": 4,
                                         "messages": [], "response": "x"})  # fmt: skip
    assert isinstance(call, Call)
    assert (call.input_tokens, call.output_tokens) == (None, 4)


@pytest.mark.parametrize("module", [cloudflare, openrouter, portkey])
@pytest.mark.parametrize(
    "value", [5, [], {}, {"id": "a", "model": "m"}, {"data": []}, {"result": []}]
)
def test_what_is_no_record_is_unreadable(module: Any, value: Any):
    assert not module.matches(value)
    with pytest.raises(UnreadableError):
        list(module.records(value))
