"""Attributes of those who went their own way, before the GenAI conventions and beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs.formats import otlp
from tasks.logs.shapes.records import Call, Other
from tests.tasks.logs.formats.test_otlp import document, event, one, span

TRACELOOP = "traceloop.association.properties."
BARE = {"gen_ai.operation.name": None}


def calls(found: dict[str, Any], **fields: Any) -> list[Call]:
    """Of a span without the operation that `one` gives it."""
    value = document(span(found, **fields))
    pairs = value["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    pairs[:] = [pair for pair in pairs if pair["value"].get("stringValue", "") is not None]
    return [record for record in otlp.records(value) if isinstance(record, Call)]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *((TRACELOOP + each, "session_id") for each in (
            "session_id", "conversation_id", "thread_id", "chat_id")),
        *((each, "session_id") for each in (
            "gen_ai.conversation.id", "session.id", "langfuse.session.id",
            "ai.telemetry.metadata.sessionId")),
        *((each, "user") for each in (
            TRACELOOP + "user_id", "llm.user", "enduser.id", "user.id", "langfuse.user.id",
            "ai.telemetry.metadata.userId")),
        ("traceloop.prompt.key", "prompt_name"), ("langfuse.release", "release"),
        ("langfuse.observation.prompt.name", "prompt_name"),
    ],
)  # fmt: skip
def test_a_name_that_means_a_field_is_it_and_no_tag(name: str, field: str):
    call = one({name: "x"})
    assert getattr(call, field) == "x"
    assert name not in call.tags


def test_a_property_of_another_name_is_a_tag():
    assert one({TRACELOOP + "tenant": "north"}).tags[TRACELOOP + "tenant"] == "north"


def test_openllmetry_before_the_conventions():
    (call,) = calls({
        **BARE, "gen_ai.request.model": None, "llm.vendor": "OpenAI", "llm.request.type": "chat",
        "llm.request.model": "m", "llm.response.model": "m-1", "llm.usage.prompt_tokens": 11,
        "llm.usage.completion_tokens": 7, "llm.usage.total_tokens": 18, "llm.temperature": 0.5,
        "llm.request.max_tokens": 9, "llm.prompts.0.role": "user", "llm.prompts.0.content": "hi",
        "llm.completions.0.role": "assistant", "llm.completions.0.content": "ho",
        "llm.completions.0.finish_reason": "length", "llm.is_streaming": True,
        "llm.request.functions.0.name": "find", "llm.request.functions.0.parameters": "{}",
    })  # fmt: skip
    assert (call.provider, call.model, call.operation) == ("openai", "m-1", "chat")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (11, 7, 18)
    assert (call.messages, call.finish_reason) == ([{"role": "user", "content": "hi"}], "length")
    assert call.response == {"role": "assistant", "content": "ho"}
    assert call.params == {
        "temperature": 0.5, "max_tokens": 9, "stream": True,
        "tools": [{"type": "function", "function": {"name": "find", "parameters": {}}}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "operation"),
    [("chat", "chat"), ("completion", "text_completion"), ("embedding", "embeddings"),
     ("rerank", None)],
)  # fmt: skip
def test_kinds_of_requests(kind: str, operation: str | None):
    found = calls({**BARE, "llm.request.type": kind, "gen_ai.system": "Cohere"})
    assert [(call.operation, call.provider) for call in found] == (
        [(operation, "cohere")] if operation else []
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("OpenAI", "openai"), ("az.ai.openai", "azure.ai.openai"), ("AWS", "aws.bedrock"),
        ("vertex_ai", "gcp.vertex_ai"), ("google-gla", "gcp.gemini"), ("MistralAI", "mistral_ai"),
        ("xai", "x_ai"), ("moonshotai", "moonshot_ai"), ("IBM.watsonx.ai", "ibm.watsonx.ai"),
        ("our-own", "our-own"),
    ],
)  # fmt: skip
def test_providers_have_their_well_known_names(given: str, expected: str):
    assert one({"gen_ai.system": given}).provider == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"input_tokens": 10, "output_tokens": 5}, (10, 5, None)),
        ({"input_tokens": -1, "output_tokens": 5}, (None, 5, None)),
        # beside the input, and beside the output: the total tells
        ({"input_tokens": 10, "output_tokens": 5, "cache_read.input_tokens": 90,
          "total_tokens": 105}, (100, 5, 105)),
        ({"input_tokens": 12, "output_tokens": 1, "reasoning.output_tokens": 228,
          "total_tokens": 241}, (12, 229, 241)),
        ({"input_tokens": 100, "output_tokens": 5, "cache_read.input_tokens": 90,
          "total_tokens": 105}, (100, 5, 105)),
        ({"output_tokens": 5, "total_tokens": 15}, (10, 5, 15)),
    ],
)  # fmt: skip
def test_a_total_decides_what_counts_mean(given: dict[str, int], expected: tuple[Any, ...]):
    call = one({f"gen_ai.usage.{name}": count for name, count in given.items()})
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == expected
    assert "tokens_unclear" not in call.tags


def test_googles_adk_has_request_and_response_as_they_were():
    (call,) = calls({
        **BARE, "gen_ai.system": "gcp.vertex.agent",
        "gcp.vertex.agent.llm_request": json.dumps({
            "model": "m", "config": {"system_instruction": "Be brief.", "temperature": 0.5},
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        "gcp.vertex.agent.llm_response": json.dumps({
            "content": {"role": "model", "parts": [{"text": "ho"}]}, "finish_reason": "STOP"}),
    })  # fmt: skip
    assert [message["content"] for message in call.messages] == ["Be brief.", "hi"]
    assert call.response["content"] == "ho"
    assert (call.params, call.provider) == ({"temperature": 0.5}, "gcp.vertex_ai")


def test_events_with_blocks_as_json_text():
    call = one({}, events=[
        event("gen_ai.user.message", content='[{"text": "hi"}]'),
        event("gen_ai.assistant.message",
              content='[{"toolUse": {"toolUseId": "c1", "name": "find", "input": {"q": 1}}}]'),
        event("gen_ai.tool.message", content='[{"toolResult": {"toolUseId": "c1", "content": '
              '[{"text": "3"}]}}]', id="c1"),
        event("gen_ai.user.message", content='[{"n": 1}]'),
        event("gen_ai.choice", message='[{"text": "ho"}]', finish_reason="end_turn"),
    ])  # fmt: skip
    assert [message["role"] for message in call.messages] == ["user", "assistant", "tool", "user"]
    assert call.messages[0]["content"] == "hi"
    assert call.messages[1]["tool_calls"][0]["function"]["name"] == "find"
    assert (call.messages[2]["tool_call_id"], call.messages[2]["content"]) == ("c1", "3")
    assert call.messages[3]["content"] == '[{"n": 1}]'
    assert (call.response["content"], call.finish_reason) == ("ho", "stop")


def test_a_span_that_logfire_writes_when_another_begins_is_no_call():
    found = list(otlp.records(document(span({"logfire.span_type": "pending_span"}))))
    assert found == [Other()]


def test_mlflow_spans_in_an_envelope():
    (call,) = otlp.records(document(span({
        "mlflow.spanType": '"CHAT_MODEL"', "mlflow.llm.model": '"m"', "session.id": "talk",
        "mlflow.spanInputs": '{"messages": [{"role": "user", "content": "hi"}]}',
        "mlflow.spanOutputs": '"ho"', "mlflow.chat.tokenUsage":
            '{"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}',
    })))  # fmt: skip
    assert isinstance(call, Call)
    assert (call.model, call.session_id, call.input_tokens) == ("m", "talk", 3)
    assert (call.messages, call.response["content"]) == ([{"role": "user", "content": "hi"}], "ho")


def test_embeddings_of_the_vercel_ai_sdk():
    found = {"ai.operationId": "ai.embed.doEmbed", "ai.model.provider": "openai.embedding",
             "ai.model.id": "m-1", "ai.usage.tokens": 10, "ai.values": ['"a \\"b\\""', "c"],
             "ai.embeddings": ["[0.25, 0.5]"]}  # fmt: skip
    (call,) = calls({**BARE, **found})
    assert (call.operation, call.provider, call.model, call.status) == (
        "embeddings", "openai", "m-1", "ok")  # fmt: skip
    assert (call.input_tokens, call.output_tokens) == (10, None)
    assert call.messages == [{"role": "user", "content": 'a "b"'}, {"role": "user", "content": "c"}]
    assert "ai.embeddings" not in call.tags
    assert calls({**BARE, **found, "ai.operationId": "ai.embed"}) == []


def test_the_first_chunk_of_the_vercel_ai_sdk():
    call = one({"gen_ai.request.model": "m", "ai.response.msToFirstChunk": 250})
    assert call.ttft_s == 0.25
    assert "ai.response.msToFirstChunk" not in call.tags
