"""Lunary, Elasticsearch, Sentry and New Relic: written from their public documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.foreign import by_keys
from tasks.logs.formats import elastic, new_relic, sentry
from tasks.logs.reading.envelopes import open_envelope
from tasks.logs.shapes.records import Call, Feedback, Other
from tests.tasks.logs.formats.reading import calls, one, records

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RUN: dict[str, Any] = {
    "id": "1", "projectId": "p", "isPublic": False, "type": "llm", "name": "gpt-4o",
    "createdAt": "2026-11-03T08:00:00Z", "endedAt": "2026-11-03T08:00:03Z", "duration": 3,
    "templateSlug": "greet", "templateVersionId": 12, "cost": 0.1,
    "tokens": {"completion": 2, "prompt": 3, "total": 5}, "error": None, "status": "success",
    "input": [{"role": "user", "content": "hi", "enrichments": []}],
    "output": [{"role": "assistant", "content": "yo"}], "params": {"temperature": 0},
    "metadata": None, "user": {"id": "9", "externalId": "ann"},
}  # fmt: skip
DOC: dict[str, Any] = {
    "@timestamp": "2026-11-03T08:00:00Z", "data_stream": {"type": "traces"}, "trace_id": TRACE,
    "span_id": SPAN, "name": "chat gpt-4o", "kind": "Client", "duration": 1_500_000_000,
    "status": {"code": "Ok"}, "scope": {"name": "s"},
    "resource": {"attributes": {"service.version": "v2"}},
    "attributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
                   "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2},
}  # fmt: skip


def test_runs_of_lunary():
    call = one(RUN)
    assert (call.request_id, call.model, call.user) == ("1", "gpt-4o", "ann")
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "yo"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (3, 2, 5)
    assert (call.latency_s, call.cost_usd, call.params) == (3.0, 0.1, {"temperature": 0})
    assert (call.prompt_name, call.prompt_version, call.status) == ("greet", "12", "ok")
    failed = one({**RUN, "status": "error", "output": None, "error": {"message": "no"}})
    assert (failed.status, failed.response) == ("error", None)
    assert records({**RUN, "type": "tool"}) == [Other()]
    row = {key: json.dumps(item) if isinstance(item, dict | list) else item
           for key, item in RUN.items()}  # fmt: skip
    assert one(row).messages == call.messages
    page = open_envelope({"total": 1, "page": 0, "limit": 10, "data": [RUN]}, formats.recognise)
    assert [each.format and each.format.NAME for each in page] == ["lunary"]


def test_spans_that_elasticsearch_keeps_for_opentelemetry():
    assert formats.recognise(DOC) is elastic
    call = one(DOC)
    assert (call.request_id, call.model, call.release) == (f"{TRACE}:{SPAN}", "gpt-4o", "v2")
    assert (str(call.started_at), call.latency_s) == ("2026-11-03 08:00:00", 1.5)
    assert (call.input_tokens, call.output_tokens) == (3, 2)
    outer = {**DOC, "span_id": "a" * 16}
    inner = {**DOC, "parent_span_id": "a" * 16, "@timestamp": "1793692800500.25"}
    (found,) = calls(inner, outer)
    assert str(found.started_at) == "2026-11-03 08:00:00.500250"
    other = {**DOC, "attributes": {"http.route": "/"}, "name": "GET /"}
    assert records(other) == [Other()]
    hit = {"_index": "traces-generic.otel-default", "_source": DOC}
    (opened,) = open_envelope({"hits": {"hits": [hit]}}, formats.recognise)
    assert opened.value == DOC


DATA: dict[str, Any] = {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2, "gen_ai.conversation.id": "s",
        "gen_ai.request.messages": '[{"role":"user","content":"hi"}]',
        "gen_ai.response.text": '["yo"]'}  # fmt: skip
CHAT: dict[str, Any] = {
        "span_id": SPAN, "trace_id": TRACE, "parent_span_id": "a" * 16, "op": "gen_ai.chat",
        "description": "chat gpt-4o", "start_timestamp": 1793692800.0,
        "timestamp": 1793692801.5, "data": DATA}  # fmt: skip


def transaction(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"event_id": "e", "type": "transaction", "platform": "python", "release": "v3",
            "user": {"id": "ann"},
            "contexts": {"trace": {"trace_id": TRACE, "op": "http.server"}},
            "spans": list(spans)}  # fmt: skip


def test_spans_of_ai_in_a_transaction_of_sentry():
    data, chat = DATA, CHAT
    agent = {**chat, "span_id": "a" * 16, "parent_span_id": None, "op": "gen_ai.invoke_agent"}
    database = {"span_id": "c" * 16, "trace_id": TRACE, "op": "db", "data": {}}
    value = transaction(agent, chat, database)
    assert formats.recognise(value) is sentry
    (call,) = calls(value)
    assert (call.request_id, call.model, call.operation) == (f"{TRACE}:{SPAN}", "gpt-4o", "chat")
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response["content"] == "yo"
    assert (call.input_tokens, call.output_tokens, call.latency_s) == (3, 2, 1.5)
    assert (call.session_id, call.user, call.release) == ("s", "ann", "v3")
    tool = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {"gen_ai.response.text": None, "gen_ai.response.tool_calls": json.dumps([tool])}
    (call,) = calls(transaction({**chat, "status": "ok", "data": {**data, **asked}}))
    assert call.tool_calls[0]["function"]["name"] == "f"
    (failed,) = calls(transaction({**chat, "status": "internal_error"}))
    assert failed.status == "error"
    assert formats.recognise(transaction(database)) is None
    assert "Sentry" in (by_keys.told(transaction(database)) or "")


def event(kind: str, **about: Any) -> dict[str, Any]:
    return {"eventType": kind, "trace_id": "t", "span_id": "x", "vendor": "openai",
            "ingest_source": "Python", "timestamp": 1793692800000, "appName": "app",
            **about}  # fmt: skip


SUMMARY = event("LlmChatCompletionSummary", id="s1", request_id="chatcmpl-1", duration=1500, **{
    "request.model": "gpt-4o", "response.model": "gpt-4o-2024", "request.temperature": 0,
    "request.max_tokens": 9, "response.number_of_messages": 3, "llm.conversation_id": "talk",
    "response.choices.finish_reason": "stop", "response.usage.prompt_tokens": 3,
    "response.usage.completion_tokens": 2, "response.usage.total_tokens": 5, "llm.team": "red",
})  # fmt: skip


def message(sequence: int, role: str, content: str, *, said: bool = False) -> dict[str, Any]:
    told = {"is_response": True} if said else {}
    return event("LlmChatCompletionMessage", id=f"s1-{sequence}", completion_id="s1", role=role,
                 content=content, sequence=sequence, **told)  # fmt: skip


@pytest.mark.parametrize("is_query", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_the_events_of_a_completion_in_new_relic_are_one_call(order: int, is_query: bool):
    events = [message(0, "system", "be"), message(1, "user", "hi"), SUMMARY,
              message(2, "assistant", "yo", said=True)][::order]  # fmt: skip
    if is_query:  # rows of a query do not say what they are
        events = [{k: v for k, v in each.items() if k != "eventType"} for each in events]
    assert formats.recognise(events[0]) is new_relic
    (call,) = calls(*events)
    assert (call.request_id, call.model, call.provider) == ("s1", "gpt-4o-2024", "openai")
    assert call.messages == [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "yo"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (3, 2, 5)
    assert (str(call.started_at), call.latency_s) == ("2026-11-03 08:00:00", 1.5)
    assert (call.session_id, call.finish_reason) == ("talk", "stop")
    assert call.params == {"temperature": 0, "max_tokens": 9}
    assert (call.tags["team"], call.tags["response_id"]) == ("red", "chatcmpl-1")
    assert sum(isinstance(each, Other) for each in records(*events)) == 3


def test_feedback_embeddings_and_failures_in_new_relic():
    said = event("LlmFeedbackMessage", id="f", rating="Good", category="tone", message="kind")
    (call,) = calls(SUMMARY, message(2, "assistant", "yo", said=True), said)
    assert [(each.kind, each.value, each.comment) for each in call.feedback] == [
        ("tone", None, "kind")
    ]
    assert isinstance(new_relic._feedback({**said, "rating": 1}), Feedback)
    assert new_relic._feedback({**said, "rating": "1"}).value == 1.0
    embedding = event("LlmEmbedding", id="e", input="text", **{
        "request.model": "m", "response.usage.total_tokens": 4})  # fmt: skip
    call = one(embedding)
    assert (call.operation, call.status, call.total_tokens) == ("embeddings", "ok", 4)
    failed = one({**SUMMARY, "error": True})
    assert (failed.status, failed.error_type, failed.response) == ("error", "error", None)
    assert one(SUMMARY).status == "ok"  # contents may be switched off
    assert [type(each) for each in records(message(0, "user", "hi"))] == [Other]
    assert records(event("LlmTool", id="x"), SUMMARY)[0] == Other()
    assert not any(isinstance(each, Call) for each in records(event("LlmTool", id="x")))


def answer(*texts: str, **about: Any) -> dict[str, Any]:
    results = [{"generated_text": text, "generated_token_count": 2, "input_token_count": 3,
                "stop_reason": "max_tokens"} for text in texts]  # fmt: skip
    return {"model_id": "ibm/granite", "created_at": "2026-11-03T08:00:00Z", "results": results,
            **about}  # fmt: skip


ASKED: dict[str, Any] = {"model_id": "ibm/granite", "input": "hi", "project_id": "p",
                         "parameters": {"max_new_tokens": 2}}  # fmt: skip


def test_text_generation_of_watsonx():
    said = answer("yo")
    request = ASKED
    call = one({"request": request, "response": said, "latency_ms": 500})
    assert (call.model, call.provider, call.operation) == (
        "ibm/granite", "ibm.watsonx.ai", "text_completion")  # fmt: skip
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "yo"}
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (3, 2, "length")
    assert (call.params, call.latency_s) == ({"max_new_tokens": 2}, 0.5)
    bare = {"results": said["results"]}  # without a model
    assert formats.recognise(bare).NAME == "watsonx"
    assert (one(bare).model, one(bare).response["content"]) == (None, "yo")
    streamed = one({"request": request, "response": [answer("y"), answer("o")]})
    assert (streamed.response["content"], streamed.output_tokens) == ("yo", 2)
    failed = {**said, "results": [{**said["results"][0], "stop_reason": "ERROR"}]}
    assert one({"request": request, "response": failed}).status == "error"


@pytest.mark.parametrize(("value", "what"), [
    ({"span_id": "a", "trace_id": "b", "span_type": "LLM", "name": "x", "input": "[]",
      "start_time": "2026-11-03T08:00:00Z", "output": "{}"}, "Laminar"),
    ({"trace_id": "t", "span_id": "s", "span_name": "openai.chat", "span_kind": "Client",
      "service_name": "x", "start_time": "2026-11-03T08:00:00Z", "attributes": {},
      "span_attributes": {"gen_ai": {}}}, "AgentOps"),
    ({"@timestamp": "2026-11-03T08:00:00Z", "processor": {"event": "span"}, "trace": {"id": "t"},
      "span": {"id": "s"}, "labels": {"gen_ai_request_model": "m"}}, "Elastic APM"),
])  # fmt: skip
def test_what_is_not_read_is_named(value: dict[str, Any], what: str):
    assert formats.recognise(value) is None
    assert what in (by_keys.told(value) or "")
