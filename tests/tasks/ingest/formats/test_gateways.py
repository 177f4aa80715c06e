"""What gateways log: LiteLLM, Bedrock, Envoy AI Gateway, Kong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.ingest import formats
from tasks.ingest.formats import bedrock, envoy, kong, litellm
from tasks.ingest.records import Call, Other, UnreadableError

COMPLETION = {
    "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o",
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
}  # fmt: skip
HELLO = [{"role": "user", "content": "Hello"}]
TIMES = {"startTime": "2025-01-24 09:20:46.000000", "endTime": "2025-01-24 09:20:48.500000",
         "completionStartTime": "2025-01-24 09:20:46.500000"}  # fmt: skip


def one(format: Any, value: Any) -> Call:
    assert formats.recognise(value) is format
    (found,) = format.records(value)
    assert isinstance(found, Call)
    return found


def litellm_payload(**changes: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1", "call_type": "acompletion", "stream": True, "status": "success",
        "custom_llm_provider": "openai", **TIMES, "model": "gpt-4o", "response_cost": 0.25,
        "total_tokens": 30, "prompt_tokens": 10, "completion_tokens": 20, "messages": HELLO,
        "response": COMPLETION, "model_parameters": {"temperature": 0}, "cache_hit": None,
        "error_information": {"error_code": "", "error_class": ""}, "end_user": "u",
        "metadata": {"guardrail_information": None}, **changes,
    }  # fmt: skip


def test_litellm_standard_logging_payload():
    call = one(litellm, litellm_payload())
    assert (call.request_id, call.provider, call.model) == ("chatcmpl-1", "openai", "gpt-4o")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (10, 20, 30)
    assert (call.latency_s, call.ttft_s, call.cost_usd, call.user) == (2.5, 0.5, 0.25, "u")
    assert (call.messages, call.operation, call.status) == (HELLO, "chat", "ok")
    assert call.response == {"role": "assistant", "content": "hi"}
    assert (call.params, call.finish_reason) == ({"temperature": 0}, "stop")


def test_litellm_spend_log_with_texts_for_objects_and_for_nothing():
    row = {
        "request_id": "r1", "session_id": "s", "call_type": "acompletion", **TIMES,
        "model": "gpt-4o", "spend": 0.5, "total_tokens": 30, "prompt_tokens": 10,
        "completion_tokens": 20, "cache_hit": "None", "messages": "{}", "response": "{}",
        "metadata": json.dumps({"attempted_retries": 2}), "status": "success",
    }  # fmt: skip
    call = one(litellm, row)
    assert (call.request_id, call.session_id, call.retries) == ("r1", "s", 2)
    assert (call.status, call.messages, call.response) == ("ok", None, None)
    assert "cache_hit" not in call.tags
    kept = one(litellm, {**row, "messages": json.dumps(HELLO), "response": json.dumps(COMPLETION)})
    assert kept.messages == HELLO
    assert kept.response == {"role": "assistant", "content": "hi"}


def test_litellm_failure_and_missing_answer():
    told = {"error_code": "429", "error_class": "RateLimitError"}
    failed = one(litellm, litellm_payload(status="failure", error_information=told, response=None))
    assert (failed.status, failed.error_type) == ("error", "RateLimitError")
    assert failed.http_status == 429
    empty = one(litellm, litellm_payload(response={"id": "x", "choices": []}))
    assert empty.error_type == "no_completion"


def bedrock_log(output: Any, request: Any = None, **changes: Any) -> dict[str, Any]:
    asked = request or {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 5},
    }
    return {
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "requestId": "same",
        "timestamp": "2025-05-15 14:17:22.000000000", "operation": "Converse",
        "modelId": "anthropic.claude-3", "identity": {"arn": "arn:aws:sts::1:assumed-role/r/u"},
        "input": {"inputBodyJson": asked, "inputTokenCount": 4},
        "output": {"outputBodyJson": output, "outputTokenCount": 2}, **changes,
    }  # fmt: skip


def test_bedrock_converse():
    body = {"output": {"message": {"role": "assistant", "content": [{"text": "Yes"}]}},
            "stopReason": "end_turn", "metrics": {"latencyMs": 250},
            "usage": {"inputTokens": 4, "outputTokens": 2, "totalTokens": 6}}  # fmt: skip
    call = one(bedrock, bedrock_log(body))
    assert call.request_id is None, "requestId repeats: the content is the id"
    assert call.tags["requestId"] == "same"
    assert call.messages == [{"role": "system", "content": "Be brief."},
                             {"role": "user", "content": "Hi"}]  # fmt: skip
    assert call.response == {"role": "assistant", "content": "Yes"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (4, 2, 6)
    assert (call.latency_s, call.finish_reason, call.status) == (0.25, "stop", "ok")
    assert call.params == {"inferenceConfig": {"maxTokens": 5}}


def test_a_guardrail_of_bedrock_is_a_verdict_and_no_error():
    body = {"output": {"message": {"role": "assistant", "content": [{"text": "No"}]}},
            "stopReason": "guardrail_intervened"}  # fmt: skip
    call = one(bedrock, bedrock_log(body))
    assert (call.status, call.error_type) == ("ok", None)
    assert call.guardrail_verdicts[0]["verdict"] == "block"


CLAUDE_CHUNKS = [
    {"type": "message_start", "message": {"type": "message", "role": "assistant", "content": [],
                                          "usage": {"input_tokens": 4, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
]  # fmt: skip
CONVERSE_CHUNKS = [
    {"role": "assistant"},
    {"contentBlockIndex": 0, "delta": {"text": "Y"}},
    {"contentBlockIndex": 0, "delta": {"text": "es"}},
    {"stopReason": "end_turn"},
    {"usage": {"inputTokens": 4, "outputTokens": 2, "totalTokens": 6}},
]
LLAMA_CHUNKS = [{"generation": "Y"}, {"generation": "es", "stop_reason": "end_turn"}]


@pytest.mark.parametrize(
    "body",
    [CLAUDE_CHUNKS, CONVERSE_CHUNKS, LLAMA_CHUNKS, {"generation": "Yes", "stop_reason": "end_turn"},
     {"results": [{"outputText": "Yes"}], "stop_reason": "end_turn"}],
    ids=["claude stream", "converse stream", "llama stream", "llama", "titan"],
)  # fmt: skip
def test_bodies_of_bedrock_models_whole_and_streamed(body: Any):
    call = one(bedrock, bedrock_log(body, {"prompt": "Hi", "temperature": 1}))
    assert call.response == {"role": "assistant", "content": "Yes"}
    assert (call.finish_reason, call.output_tokens) == ("stop", 2)
    assert (call.messages, call.params) == ([{"role": "user", "content": "Hi"}], {"temperature": 1})


def test_bedrock_without_an_answer_or_with_an_error_code():
    assert one(bedrock, bedrock_log({})).error_type == "no_completion"
    throttled = bedrock_log(None, errorCode="ThrottlingException")
    assert one(bedrock, throttled).error_type == "ThrottlingException"
    with pytest.raises(UnreadableError):
        list(bedrock.records(bedrock_log({}, input=[1])))


def envoy_log(**changes: Any) -> dict[str, Any]:
    return {
        "duration": 1526, "gen_ai.provider.name": "x", "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 15, "gen_ai.usage.output_tokens": "7",
        "gen_ai.usage.total_tokens": 22, "response_code": 200, "response_flags": "-",
        "start_time": "2025-08-30T16:51:37.894Z", "x-envoy-origin-path": "/v1/chat/completions?a=1",
        "x-request-id": "83b6", "response_code_details": "via_upstream", **changes,
    }  # fmt: skip


def test_envoy_access_log():
    call = one(envoy, envoy_log())
    assert (call.request_id, call.model, call.operation) == ("83b6", "gpt-4o-mini", "chat")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (15, 7, 22)
    assert (call.latency_s, call.status, call.http_status) == (1.526, "ok", 200)
    assert "response_flags" not in call.tags
    limited = one(envoy, envoy_log(response_code=429))
    assert (limited.status, limited.error_type) == ("error", "429")
    gone = one(envoy, envoy_log(response_code=0, response_flags="DC"))
    assert (gone.error_type, gone.http_status) == ("DC", None)


def test_no_tokens_in_envoys_log_is_a_tool_call():
    empty = {key: None for key in envoy_log() if key.startswith("gen_ai.")}
    tool = envoy_log(**empty, **{"mcp.method.name": "tools/call"})
    assert formats.recognise(tool) is envoy
    assert list(envoy.records(tool)) == [Other()]
    assert list(envoy.records(envoy_log(**empty))) == [Other()]


def kong_log(**changes: Any) -> dict[str, Any]:
    proxy = {
        "payload": {"response": json.dumps(COMPLETION)},
        "usage": {"prompt_tokens": 14, "completion_tokens": 21, "total_tokens": 35, "cost": 0.1,
                  "time_to_first_token": 631, "prompt_tokens_details": {"cached_tokens": 3}},
        "meta": {"request_model": "command", "response_model": "command-r",
                 "provider_name": "cohere", "llm_latency": 2670},
        **changes,
    }  # fmt: skip
    request = json.dumps({"messages": HELLO, "temperature": 0})
    return {"ai": {"payload": {"request": request}, "proxy": proxy}, "started_at": 1764000000000,
            "request": {"id": "k1", "uri": "/chat"}, "response": {"status": 200},
            "consumer": {"username": "anna"}}  # fmt: skip


def test_kong_audit_log():
    call = one(kong, kong_log())
    assert (call.request_id, call.user, call.provider) == ("k1", "anna", "cohere")
    assert (call.model, call.latency_s, call.ttft_s) == ("command-r", 2.67, 0.631)
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (14, 21, 3)
    assert (call.messages, call.params) == (HELLO, {"temperature": 0})
    assert call.response == {"role": "assistant", "content": "hi"}


def test_a_guardrail_of_kong_is_a_verdict_and_a_tool_call_no_call():
    entry = kong_log(**{"aws-guardrails": {"input_block_reason": "violence"}})
    entry["response"] = {"status": 400}
    call = one(kong, entry)
    assert (call.status, call.http_status) == ("ok", 400)
    assert call.guardrail_verdicts == [
        {"guardrail": "aws-guardrails", "verdict": "block", "reason": "violence"}
    ]
    tool = {"ai": {"mcp": {"rpc": [{"method": "tools/call"}]}}}
    assert formats.recognise(tool) is kong
    assert list(kong.records(tool)) == [Other()]


def test_nvidia_flywheel_records_are_pairs():
    record = {"timestamp": 1715854074, "workload_id": "router", "client_id": "dev",
              "request": {"model": "m", "messages": HELLO}, "response": COMPLETION,
              "contract_version": "1.0"}  # fmt: skip
    found = formats.recognise(record)
    assert found is not None
    assert found.NAME == "openai_chat"
    (call,) = found.records(record)
    assert isinstance(call, Call)
    assert (call.prompt_name, call.tags["client_id"]) == ("router", "dev")
    assert call.tags["contract_version"] == "1.0"
    failed = {**record, "response": None, "error_details": {"code": "rate_limit"}}
    (call,) = found.records(failed)
    assert isinstance(call, Call)
    assert (call.status, call.error_type) == ("error", "rate_limit")


@pytest.mark.parametrize("format", [litellm, bedrock, envoy, kong])
@pytest.mark.parametrize("value", [3, {}, [], {"ai": 1}])
def test_what_is_no_record_is_unreadable(format: Any, value: Any):
    with pytest.raises(UnreadableError):
        list(format.records(value))
