from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import opik
from tasks.logs.shapes.records import Call, Dead, Other


def span(**changes: Any) -> dict[str, Any]:
    return {
        "id": "s2", "trace_id": "t", "parent_span_id": "s1", "project_id": "p", "type": "llm",
        "name": "chat_completion_create", "model": "m-1", "provider": "google_ai",
        "start_time": "2026-01-02T03:04:05Z", "end_time": "2026-01-02T03:04:06.5Z", "ttft": 250,
        "input": {"messages": [{"role": "user", "content": "hi"}], "temperature": 0},
        "output": {"choices": [{"index": 0, "finish_reason": "stop",
                                "message": {"role": "assistant", "content": "ho"}}]},
        "metadata": {"created_from": "openai", "team": "x", "top_p": 1, "user_id": "ann",
                     "opik_prompts": [{"name": "greet", "version": {"commit": "abc"}}]},
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17,
                  "original_usage.prompt_tokens": 12, "original_usage.completion_tokens": 5,
                  "original_usage.total_tokens": 17,
                  "original_usage.prompt_tokens_details.cached_tokens": 4},
        "tags": ["a"], "total_estimated_cost": 0.5, "error_info": None, "last_updated_by": "me",
        "feedback_scores": [{"name": "good", "value": 1, "reason": "so", "created_by": "b"}],
        **changes,
    }  # fmt: skip


def trace(**changes: Any) -> dict[str, Any]:
    return {"id": "t", "project_id": "p", "start_time": "2026-01-02T03:04:05Z", "name": "app",
            "thread_id": "th", "span_count": 2, "total_estimated_cost": 0.5,
            "metadata": {"release": "v1"}, "feedback_scores": [{"name": "thumbs", "value": 0.0}],
            "comments": [{"text": "slow", "created_by": "c"}], **changes}  # fmt: skip


def fed(*values: Any) -> list[Any]:
    reader = opik.reader()
    found = [each for number, value in enumerate(values) for each in reader.feed(value, number)]
    return [record for record, _ in (*found, *reader.end())]


def only(*values: Any) -> Call:
    (call,) = [each for each in fed(*values) if isinstance(each, Call)]
    return call


def test_every_field_of_a_span_and_what_its_trace_says():
    assert formats.recognise(span()) is opik
    call = only({"trace": trace(), "spans": [span()], "project_name": "x"})
    assert (call.request_id, call.model, call.provider) == ("s2", "m-1", "gcp.gemini")
    assert (str(call.started_at), call.latency_s, call.ttft_s) == (
        "2026-01-02 03:04:05", 1.5, 0.25,
    )  # fmt: skip
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "ho"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (12, 5, 17)
    assert (call.cached_tokens, call.cost_usd, call.finish_reason) == (4, 0.5, "stop")
    assert (call.user, call.session_id, call.release) == ("ann", "th", "v1")
    assert (call.prompt_name, call.prompt_version) == ("greet", "abc")
    assert (call.params, call.status) == ({"temperature": 0, "top_p": 1}, "ok")
    assert (call.tags["team"], call.tags["span_tags"]) == ("x", ["a"])
    assert [(each.kind, each.value, each.comment, each.by) for each in call.feedback] == [
        ("thumbs", 0.0, None, None), ("comment", None, "slow", "c"), ("good", 1.0, "so", "b"),
    ]  # fmt: skip


def test_what_a_cache_took_is_no_output():
    counts = {"prompt_tokens": 13, "completion_tokens": 8, "total_tokens": 21}
    of_anthropic = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 10,
                    "cache_creation_input_tokens": 3}  # fmt: skip
    flat = {f"original_usage.{name}": count for name, count in of_anthropic.items()}
    call = only(span(provider="anthropic", usage={**counts, **flat}))
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (16, 5, 10)
    call = only(span(usage=counts))
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (13, 8, 21)


def test_failed_calls_and_other_spans():
    about = {"exception_type": "RateLimitError", "message": "slow down", "traceback": "…"}
    call = only(span(output=None, error_info=about))
    assert (call.status, call.error_type) == ("error", "RateLimitError")
    outer = span(id="s1", parent_span_id=None, type="general", feedback_scores=[])
    found = fed(outer, span(), span(id="s3", type="tool"))
    assert [type(each) for each in found] == [Other, Call, Other]
    nested = fed(span(id="s1", parent_span_id=None), span())
    assert [type(each) for each in nested] == [Other, Call]


def _camel(value: Any) -> Any:
    def name(key: str) -> str:
        first, *rest = key.split("_")
        return first + "".join(each.title() for each in rest)

    return {name(key): item for key, item in value.items()}


@pytest.mark.parametrize("held", [
    {"page": 1, "size": 2, "total": 2, "content": [span(), trace()]},
    {"trace": trace(), "spans": [_camel(span())]},
    {key: json.dumps(item) if isinstance(item, dict | list) else item
     for key, item in span().items()},
], ids=["page", "camel", "cells"])  # fmt: skip
def test_whatever_holds_a_span(held: dict[str, Any]):
    assert formats.recognise(held) is opik
    call = only(held)
    assert (call.request_id, call.latency_s, call.cost_usd, call.input_tokens) == (
        "s2", 1.5, 0.5, 12,
    )  # fmt: skip
    assert call.response == {"role": "assistant", "content": "ho"}


def test_what_cannot_be_held_is_a_dead_letter():
    (dead,) = fed(span(model={"a": 1}))
    assert isinstance(dead, Dead)


@pytest.mark.parametrize("foreign", [
    {"type": "llm", "trace_id": "t", "start_time": 1}, {"content": [{"type": "tool"}]},
    {"trace": {"id": "t"}, "spans": []}, {"id": "t", "project_id": "p", "start_time": 1},
])  # fmt: skip
def test_what_is_not_opiks_is_not_taken(foreign: dict[str, Any]):
    assert not opik.matches(foreign)
