"""How a call ended is told the same way, whatever format tells of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tasks.logs.formats import (
    anthropic,
    bedrock,
    canonical,
    data_flywheel,
    gemini,
    kong,
    langfuse,
    litellm,
    mlflow_traces,
    openai_batch,
    openai_chat,
    openai_responses,
    openinference,
    otlp,
    tensorzero,
)
from tasks.logs.shapes.records import Call
from tests.tasks.logs.formats import test_anthropic as messages
from tests.tasks.logs.formats import test_batches as batches
from tests.tasks.logs.formats import test_bedrock as cloud
from tests.tasks.logs.formats import test_gateways as gateways
from tests.tasks.logs.formats import test_gemini as gemini_bodies
from tests.tasks.logs.formats import test_langfuse as traces
from tests.tasks.logs.formats import test_mlflow_traces as mlflow
from tests.tasks.logs.formats import test_openai_chat as chat
from tests.tasks.logs.formats import test_openai_responses as responses
from tests.tasks.logs.formats import test_openinference as inference
from tests.tasks.logs.formats import test_otlp as spans

TOOL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def completion(**message: Any) -> dict[str, Any]:
    return {**chat.COMPLETION, "choices": [{"message": message, "finish_reason": "stop"}]}


def chat_pair(body: Any) -> Any:
    return {"request": chat.REQUEST, "response": {"status_code": 200, "body": body}}


def flywheel_line(body: Any) -> Any:
    return {"timestamp": 1, "workload_id": "w", "client_id": "c", "request": chat.REQUEST,
            "response": body}  # fmt: skip


def batch_line(body: Any) -> Any:
    return {**batches.OUTPUT, "response": {"status_code": 200, "body": body}}


def kong_entry(body: Any) -> Any:
    proxy = {**gateways.KONG["ai"]["proxy"], "payload": {"response": json.dumps(body)}}  # type: ignore[index]
    return {**gateways.KONG, "ai": {"proxy": proxy}}


def litellm_payload(body: Any) -> Any:
    return {**gateways.STANDARD, "response": body}


def generation(body: Any) -> Any:
    return traces.export(traces.observation(output=json.dumps(body)))


def mlflow_trace(body: Any) -> Any:
    span = mlflow.llm()
    span["attributes"]["mlflow.spanOutputs"] = json.dumps(body)
    return mlflow.trace(span)


def inference_span(body: Any) -> Any:
    return inference.span(
        {"openinference.span.kind": "LLM", "output.value": json.dumps(body)}, spanId="1"
    )


#: formats that hold what a chat completions API answered
HOLDING_BODIES: list[tuple[ModuleType, Callable[[Any], Any]]] = [
    (openai_chat, chat_pair), (data_flywheel, flywheel_line), (openai_batch, batch_line),
    (kong, kong_entry), (litellm, litellm_payload), (langfuse, generation),
    (mlflow_traces, mlflow_trace), (openinference, inference_span),
]  # fmt: skip
WITHOUT_COMPLETION = [
    {**chat.COMPLETION, "choices": []},
    completion(),
    completion(role="assistant", content=None),
    completion(role="assistant", content=None, refusal=None, tool_calls=[]),
    completion(role="assistant", content=""),
]
WITH_COMPLETION = [
    completion(content="ho"),
    completion(content=None, tool_calls=[TOOL]),
    completion(content=None, refusal="no"),
    completion(content=None, reasoning="hm"),
]


def tensorzero_row(output: Any) -> Any:
    return {**batches.CHAT_ROW, "output": output}


def otlp_span(output: Any) -> Any:
    found = {"gen_ai.operation.name": "chat", "gen_ai.output.messages": json.dumps(output)}
    return spans.document(spans.span(found))


def record(response: Any) -> Any:
    return {"request_id": "r", "status": "ok", "http_status": 200, "response": response}


def of_gemini(*candidates: Any) -> Any:
    return {"request": gemini_bodies.REQUEST,
            "response": {**gemini_bodies.RESPONSE, "candidates": list(candidates)}}  # fmt: skip


def of_responses(*items: Any) -> Any:
    return {"request": responses.REQUEST,
            "response": {**responses.RESPONSE, "output": list(items)}}  # fmt: skip


def of_anthropic(*blocks: Any) -> Any:
    return {"request": messages.REQUEST,
            "response": {**messages.MESSAGE, "content": list(blocks)}}  # fmt: skip


def converse(*blocks: Any) -> Any:
    return cloud.record(said={**cloud.SAID, "output": {"message": {"content": list(blocks)}}})


#: each in the words of its own API: without, and with tool calls alone
IN_OWN_WORDS: list[tuple[ModuleType, list[Any], Any]] = [
    (anthropic, [of_anthropic(), of_anthropic({"type": "text", "text": ""})],
     of_anthropic({"type": "tool_use", "id": "c", "name": "f", "input": {}})),
    (bedrock, [converse(), converse({"text": ""}), cloud.record(said={})],
     converse({"toolUse": {"toolUseId": "c", "name": "f", "input": {}}})),
    (gemini, [of_gemini(), of_gemini({"content": {"parts": []}}),
              of_gemini({"content": {"parts": [{"text": ""}]}})],
     of_gemini({"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}})),
    (openai_responses,
     [of_responses(), of_responses({"type": "reasoning", "summary": []}),
      of_responses({"type": "message", "content": [{"type": "output_text", "text": ""}]})],
     of_responses({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"})),
    (tensorzero, [tensorzero_row(None), tensorzero_row("[]"), tensorzero_row("")],
     tensorzero_row([{"type": "tool_call", "id": "c", "name": "f", "arguments": {}}])),
    (otlp, [otlp_span([]), otlp_span([{"role": "assistant", "parts": []}]),
            otlp_span([{"role": "assistant", "content": None}])],
     otlp_span([{"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f"}]}])),
    (canonical, [record({}), record({"role": "assistant", "content": None}), record("")],
     record({"role": "assistant", "content": None, "tool_calls": [TOOL]})),
]  # fmt: skip


def one(module: ModuleType, value: Any) -> Call:
    (call,) = [item for item in module.records(value) if isinstance(item, Call)]
    return call


@pytest.mark.parametrize("body", WITHOUT_COMPLETION)
@pytest.mark.parametrize(
    ("module", "wrap"), HOLDING_BODIES, ids=lambda item: getattr(item, "NAME", None)
)
def test_a_success_without_a_completion_is_an_error_in_every_format(
    module: ModuleType, wrap: Callable[[Any], Any], body: Any
):
    call = one(module, wrap(body))
    assert (call.status, call.error_type, call.response) == ("error", "no_completion", None)
    assert call.http_status in (None, 200)
    # what came instead stays for people to look at
    assert call.tags["response_body"] == body


@pytest.mark.parametrize("body", WITH_COMPLETION)
@pytest.mark.parametrize(
    ("module", "wrap"), HOLDING_BODIES, ids=lambda item: getattr(item, "NAME", None)
)
def test_text_tool_calls_a_refusal_or_reasoning_alone_are_a_completion_in_every_format(
    module: ModuleType, wrap: Callable[[Any], Any], body: Any
):
    call = one(module, wrap(body))
    assert (call.status, call.error_type) == ("ok", None)
    assert call.tool_calls == body["choices"][0]["message"].get("tool_calls")
    assert "response_body" not in call.tags


@pytest.mark.parametrize(
    ("module", "value"),
    [(module, value) for module, without, _ in IN_OWN_WORDS for value in without],
)
def test_a_success_without_a_completion_is_an_error_in_the_words_of_every_api(
    module: ModuleType, value: Any
):
    call = one(module, value)
    assert (call.status, call.error_type, call.response) == ("error", "no_completion", None)


@pytest.mark.parametrize(("module", "value"), [(own[0], own[2]) for own in IN_OWN_WORDS])
def test_tool_calls_alone_are_a_completion_in_the_words_of_every_api(
    module: ModuleType, value: Any
):
    call = one(module, value)
    assert (call.status, call.error_type) == ("ok", None)
    assert call.tool_calls[0]["function"]["name"] == "f"


@pytest.mark.parametrize(
    ("module", "wrap"), HOLDING_BODIES, ids=lambda item: getattr(item, "NAME", None)
)
def test_an_error_in_the_body_of_a_success_is_named_in_every_format(
    module: ModuleType, wrap: Callable[[Any], Any]
):
    error = {"type": "server_error", "message": "boom"}
    call = one(module, wrap({**chat.COMPLETION, "choices": [], "error": error}))
    assert (call.status, call.error_type) == ("error", "server_error")
    assert call.tags["error"] == error


@pytest.mark.parametrize(
    ("module", "wrap"), HOLDING_BODIES, ids=lambda item: getattr(item, "NAME", None)
)
def test_vectors_are_complete_without_a_message_in_every_format(
    module: ModuleType, wrap: Callable[[Any], Any]
):
    body = {"object": "list", "model": "e", "data": [{"embedding": [0.1]}],
            "usage": {"prompt_tokens": 4}}  # fmt: skip
    call = one(module, wrap(body))
    assert (call.status, call.error_type, call.response) == ("ok", None, None)


@pytest.mark.parametrize(
    ("module", "value"),
    [
        (litellm, litellm_payload(None)),
        (kong, {**gateways.KONG, "ai": {"proxy": {**gateways.KONG["ai"]["proxy"], "payload": {}}}}),  # type: ignore[index]
        (bedrock, cloud.record(said=None)),
        (langfuse, traces.export(traces.observation(output=None))),
        (otlp, spans.document(spans.span({"gen_ai.operation.name": "chat"}))),
        (otlp, spans.document(spans.span({"gen_ai.operation.name": "chat"}, events=[
            spans.event("gen_ai.choice", finish_reason="stop", message='{"role": "assistant"}')]))),
        (openinference, inference.span({"openinference.span.kind": "LLM"})),
    ],
)  # fmt: skip
def test_an_answer_that_was_not_recorded_is_no_missing_completion(module: ModuleType, value: Any):
    call = one(module, value)
    assert (call.status, call.error_type) == ("ok", None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("end_turn", "stop"), ("STOP", "stop"), ("max_tokens", "length"), ("tool_use", "tool_calls"),
     ("tool-calls", "tool_calls"), ("refusal", "content_filter"), ("odd_One", "odd_One")],
)  # fmt: skip
def test_a_finish_reason_has_one_word_in_every_format(said: str, expected: str):
    body = {**chat.COMPLETION, "choices": [{"message": {"content": "x"}, "finish_reason": said}]}
    for module, wrap in HOLDING_BODIES:
        assert one(module, wrap(body)).finish_reason == expected
    found = {"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": [said]}
    assert one(otlp, spans.document(spans.span(found))).finish_reason == expected
    own = {"request_id": "r", "response": "x", "finish_reason": said}
    assert one(canonical, own).finish_reason == expected


def test_what_a_record_of_ours_says_of_itself_is_believed_but_for_an_empty_answer():
    gone = {"request_id": "r", "status": "ok", "http_status": 503, "response": "x"}
    assert (one(canonical, gone).status, one(canonical, gone).http_status) == ("ok", 503)
    failed = one(canonical, {"request_id": "r", "status": "error", "response": "x"})
    assert (failed.status, failed.error_type) == ("error", None)
    unknown = {"request_id": "r", "response": {"candidates": [1]}}
    assert (one(canonical, unknown).status, one(canonical, unknown).response) == (
        "ok", {"candidates": [1]},
    )  # fmt: skip
    vectors = {"request_id": "r", "status": "ok", "operation": "embeddings", "response": {}}
    assert (one(canonical, vectors).status, one(canonical, vectors).error_type) == ("ok", None)


def test_a_block_is_a_verdict_and_no_http_error_in_a_pair_too():
    blocked = [{"guardrail": "pii", "action": "blocked"}]
    line = {"request": chat.REQUEST, "response": {"status_code": 403, "body": {"error": "no"}},
            "guardrail_verdicts": blocked}  # fmt: skip
    call = one(openai_chat, line)
    assert (call.status, call.error_type, call.http_status) == ("ok", None, None)
    assert (call.finish_reason, call.guardrail_verdicts) == ("content_filter", blocked)
