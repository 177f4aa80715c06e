from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import posthog
from tasks.logs.shapes.records import Call, Dead, Feedback, Other

ABOUT = {
    "$ai_trace_id": "t", "$ai_session_id": "s", "$ai_span_name": "reply", "$ai_parent_id": "p",
    "$ai_provider": "openai", "$ai_model": "m-1", "$ai_base_url": "https://api.openai.com/v1",
    "$ai_input": [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}],
    "$ai_output_choices": [{"role": "assistant", "content": [
        {"type": "text", "text": "h"}, {"type": "text", "text": "o"},
        {"type": "function", "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]}],
    "$ai_input_tokens": 12, "$ai_output_tokens": 5, "$ai_cache_read_input_tokens": 4,
    "$ai_reasoning_tokens": 2, "$ai_latency": 1.5, "$ai_time_to_first_token": 0.25,
    "$ai_http_status": 200, "$ai_stop_reason": "tool_calls", "$ai_total_cost_usd": 0.5,
    "$ai_model_parameters": {"top_p": 1}, "$ai_temperature": 0, "$ai_tools": [{"name": "f"}],
    "$ai_prompt_name": "greet", "$ai_prompt_version": 3, "release": "v1", "plan": "pro",
    "$lib": "posthog-python", "$geoip_city_name": "X",
}  # fmt: skip


def event(name: str = "$ai_generation", about: Any = None, **changes: Any) -> dict[str, Any]:
    return {"uuid": "u", "event": name, "distinct_id": "ann", "timestamp": "2026-01-02T03:04:05.5Z",
            "properties": about or ABOUT, **changes}  # fmt: skip


def of(**changes: Any) -> dict[str, Any]:
    about = {**ABOUT, **{f"$ai_{name}": item for name, item in changes.items()}}
    return {name: item for name, item in about.items() if item is not ...}


def fed(*values: Any) -> list[Any]:
    reader = posthog.reader()
    found = [each for number, value in enumerate(values) for each in reader.feed(value, number)]
    return [record for record, _ in (*found, *reader.end())]


def one(**changes: Any) -> Call:
    (call,) = fed(event(about=of(**changes)))
    assert isinstance(call, Call), call
    return call


def test_every_field_of_a_generation():
    assert formats.recognise(event()) is posthog
    (call,) = fed(event())
    assert (call.request_id, call.provider, call.model, call.operation) == (
        "u", "openai", "m-1", "chat")  # fmt: skip
    assert (str(call.started_at), call.latency_s, call.ttft_s) == (
        "2026-01-02 03:04:04", 1.5, 0.25,
    )  # fmt: skip
    assert call.messages == ABOUT["$ai_input"]
    asked = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]
    assert call.response == {"role": "assistant", "content": "ho", "tool_calls": asked}
    assert call.tool_calls == asked
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (12, 5, None)
    assert (call.cached_tokens, call.reasoning_tokens, call.cost_usd) == (4, 2, 0.5)
    assert (call.user, call.session_id, call.release) == ("ann", "s", "v1")
    assert (call.prompt_name, call.prompt_version) == ("greet", "3")
    assert call.params == {"top_p": 1, "temperature": 0, "tools": [{"name": "f"}]}
    assert (call.status, call.finish_reason, call.http_status) == ("ok", "tool_calls", 200)
    assert call.tags == {"span_name": "reply", "trace_id": "t", "parent_span_id": "p",
                         "plan": "pro"}  # fmt: skip


@pytest.mark.parametrize(("changes", "counts"), [
    # what the provider counts beside the input: told, or known of Anthropic's models
    ({"provider": "anthropic", "cache_creation_input_tokens": 3}, (19, 5, 4)),
    ({"provider": "bedrock", "model": "claude-x"}, (16, 5, 4)),
    ({"provider": "anthropic", "cache_reporting_exclusive": False}, (12, 5, 4)),
    ({"cache_reporting_exclusive": "true"}, (16, 5, 4)),
    ({"provider": "gemini"}, (12, 7, 4)),
    ({"provider": "gemini", "total_tokens": 17}, (12, 5, 4)),
    ({"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": ...,
      "reasoning_tokens": 0}, (None, None, None)),
])  # fmt: skip
def test_counts(changes: dict[str, Any], counts: tuple[int | None, ...]):
    call = one(**changes)
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == counts


def test_a_failed_call():
    silent = {"output_choices": ..., "is_error": True, "input_tokens": 0, "output_tokens": 0,
              "cache_read_input_tokens": ..., "reasoning_tokens": ...,
              "stop_reason": ...}  # fmt: skip
    call = one(**silent, error="RateLimitError: slow down", http_status=429)
    assert (call.status, call.error_type, call.http_status) == ("error", "RateLimitError", 429)
    assert (call.tags["error"], call.input_tokens) == ("RateLimitError: slow down", None)
    call = one(**silent, error=json.dumps({"name": "APIError", "status": 500}), http_status=0)
    assert (call.error_type, call.http_status) == ("APIError", None)
    assert one(**silent, error_type="Timeout", error="late").error_type == "Timeout"
    assert one(output_choices=None).status == "ok"  # privacy mode keeps no contents


def test_who_answered_and_who_asked():
    assert one(base_url="https://api.deepseek.com").provider == "deepseek"
    assert one(base_url="None", model="grok-4").provider == "x_ai"
    assert one(provider="azure").provider == "azure.ai.openai"
    (call,) = fed(event(distinct_id="t"))
    assert call.user is None  # the SDK's word for nobody


@pytest.mark.parametrize(("said", "text", "others"), [
    ([{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}], "a", ["b"]),
    ([{"type": "reasoning", "summary": []}, {"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "a"}]}], "a", []),
    ({"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}}]}, "a", []),
    (["a", "b"], "a", ["b"]),
    ("a", "a", []),
])  # fmt: skip
def test_answers_in_the_shapes_of_the_sdks(said: Any, text: str, others: list[str]):
    for given in (said, json.dumps(said) if not isinstance(said, str) else said):
        call = one(output_choices=given)
        assert call.response is not None
        assert call.response["content"] == text
        assert [each["content"] for each in call.tags.get("other_choices", [])] == others


def test_a_span_of_opentelemetry_carries_its_start():
    assert str(one(ingestion_source="otel").started_at) == "2026-01-02 03:04:05.500000"


def test_embeddings_and_what_is_around_a_call():
    vectors = event("$ai_embedding", of(output_choices=..., output_tokens=..., span_id="e"))
    root = event("$ai_trace", {"$ai_trace_id": "t", "$ai_session_id": "outer"}, uuid="r")
    tool = event("$ai_span", {"$ai_trace_id": "t", "$ai_span_type": "tool"}, uuid="x")
    inner = event(about=of(session_id=..., parent_id="t"), uuid="i")
    found = fed(vectors, root, tool, inner, event("$pageview", {"$current_url": "/"}, uuid="w"))
    calls = [each for each in found if isinstance(each, Call)]
    assert [(call.operation, call.status) for call in calls] == [
        ("embeddings", "ok"),
        ("chat", "ok"),
    ]
    assert calls[1].session_id == "outer"
    assert found.count(Other()) == 3


def test_signals_speak_of_the_last_call_of_their_trace():
    metric = {"$ai_trace_id": "t", "$ai_metric_name": "useful", "$ai_metric_value": "false"}
    words = {"$ai_trace_id": "t", "$ai_feedback_text": "too long"}
    survey = {"$ai_trace_id": "t", "$survey_id": "1", "$survey_response_q": "2"}
    call, *rest = fed(event(), event("$ai_metric", metric, uuid="1"),
                      event("$ai_feedback", words, uuid="2"),
                      event("survey sent", survey, uuid="3"))  # fmt: skip
    assert rest == []
    assert [(each.kind, each.value, each.comment) for each in call.feedback] == [
        ("useful", 0.0, None), ("comment", None, "too long"), ("survey", 2.0, None),
    ]  # fmt: skip


def test_an_evaluation_names_its_event():
    about = {"$ai_evaluation_name": "polite", "$ai_evaluation_result": True, "$ai_trace_id": "t",
             "$ai_evaluation_reasoning": "it is", "$ai_target_event_id": "u"}  # fmt: skip
    (said,) = fed(event("$ai_evaluation", about, uuid="e"))
    assert isinstance(said, Feedback)
    assert (said.kind, said.value, said.comment, said.request_id) == ("polite", 1.0, "it is", "u")
    scored = {**about, "$ai_evaluation_result": None, "$ai_evaluation_numeric_result": 0}
    assert fed(event("$ai_evaluation", scored))[0].value == 0.0
    not_for_it = {**about, "$ai_evaluation_result": None, "$ai_evaluation_applicable": False}
    assert fed(event("$ai_evaluation", not_for_it)) == [Other()]


def _columns(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = ((str(number), each) for number, each in enumerate(value))  # type: ignore[assignment]
    else:
        return {name: "" if value is None else str(value)}
    return {k: v for key, each in items for k, v in _columns(each, f"{name}.{key}").items()}


@pytest.mark.parametrize("held", [
    {"api_key": "phc", "batch": [event("$pageview", {"a": 1}), event()]},
    {"next": None, "results": [{**event(uuid=...), "id": "u", "person": {"is_identified": True}}]},
    {"columns": ["*"], "results": [[event()]]},
    {"columns": ["uuid", "event", "distinct_id", "timestamp", "properties"],
     "results": [["u", "$ai_generation", "ann", "2026-01-02T03:04:05.5Z", json.dumps(ABOUT)]]},
    {"columns": ["uuid", "distinct_id", "timestamp", *(f"properties.{name}" for name in ABOUT)],
     "results": [["u", "ann", "2026-01-02T03:04:05.5Z", *ABOUT.values()]]},
    {"results": [{"id": "t", "totalLatency": 1, "events": [
        {"id": "u", "event": "$ai_generation", "createdAt": "2026-01-02T03:04:05.5Z",
         "distinct_id": "ann", "properties": ABOUT}]}]},
    {**event(), "properties": json.dumps(ABOUT), "person_properties": "{}"},
    {f"*.{name}": item for name, item in event().items() if name != "properties"}
    | _columns(ABOUT, "*.properties"),
], ids=["batch", "events", "star", "query", "columns", "traces", "export", "csv"])  # fmt: skip
def test_whatever_holds_the_events(held: dict[str, Any]):
    held = json.loads(json.dumps(held, default=lambda _: None))
    assert formats.recognise(held) is posthog
    (call,) = [each for each in fed(held) if isinstance(each, Call)]
    (plain,) = fed(event())
    for name in ("request_id", "started_at", "messages", "model", "input_tokens", "user",
                 "cost_usd", "latency_s", "session_id", "finish_reason"):  # fmt: skip
        assert getattr(call, name) == getattr(plain, name), name
    assert call.response["content"] == "ho"  # type: ignore[index]


@pytest.mark.parametrize("foreign", [
    event("$pageview", {"$current_url": "/"}), {"event": "$ai_generation"},
    {"event": "order", "properties": {"a": 1}}, {"results": [{"event": "x"}]}, {"results": []},
])  # fmt: skip
def test_what_tells_of_no_model_is_not_taken(foreign: dict[str, Any]):
    assert not posthog.matches(foreign)


@pytest.mark.parametrize("changes", [
    {"latency": "soon"}, {"input_tokens": "many"}, {"model": {"a": 1}}, {"http_status": "x"},
])  # fmt: skip
def test_what_cannot_be_held_is_a_dead_letter(changes: dict[str, Any]):
    (dead,) = fed(event(about=of(**changes)))
    assert isinstance(dead, Dead)
