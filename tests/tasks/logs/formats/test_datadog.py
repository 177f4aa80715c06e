from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import datadog
from tasks.logs.shapes.records import Call, Dead, Other, UnreadableError
from tests.tasks.logs.formats.reading import calls, one, records

AT = datetime(2023, 11, 14, 22, 13, 20, 250_000)  # noqa: DTZ001
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
SAID = [{"role": "assistant", "content": "ho"}]
METRICS = {
    "input_tokens": 11, "output_tokens": 7, "total_tokens": 18, "cache_read_input_tokens": 4,
    "cache_write_input_tokens": 0, "non_cached_input_tokens": 7, "reasoning_output_tokens": 2,
    "estimated_total_cost": 250_000_000, "time_to_first_token": 0.5,
}  # fmt: skip
TAGS = ["service:shop", "env:prod", "version:7", "session_id:talk", "user_id:ann", "empty:", "odd"]


def span(**changes: Any) -> dict[str, Any]:
    """As the export API has it."""
    return {
        "span_id": "140", "trace_id": "69f", "parent_id": "139", "ml_app": "bot",
        "name": "openai.request", "span_kind": "llm", "model_name": "gpt-4o",
        "model_provider": "azure_openai", "start_ns": 1_700_000_000_250_000_000,
        "duration": 1.5e9, "status": "ok", "input": {"messages": ASKED, "value": "hi"},
        "output": {"messages": SAID, "value": "ho"}, "metrics": METRICS, "tags": TAGS,
        "metadata": {"temperature": 0.25, "max_tokens": 9, "tool_choice": "auto"},
        "tool_definitions": [{"name": "find", "schema": {}}],
        "evaluation": {"tone": {"value": 0.5, "reasoning": "kind"},
                       "topic": {"value": "sport", "eval_metric_type": "categorical"},
                       "right": {"value": True}}, **changes,
    }  # fmt: skip


def sent(**changes: Any) -> dict[str, Any]:
    """As the SDK sends it: kind, input and output in `meta`."""
    whole = span(**changes)
    names = "input", "output", "metadata", "model_name", "model_provider", "tool_definitions"
    meta = {key: whole.pop(key) for key in names}
    return {**whole, "meta": {"kind": whole.pop("span_kind"), **meta}}


def by_key(kind: dict[str, Any]) -> dict[str, Any]:
    whole = sent()
    del whole["meta"]["kind"]
    return {**whole, "meta": {**whole["meta"], **kind}}


def in_camel_case(given: dict[str, Any]) -> dict[str, Any]:
    def name(key: str) -> str:
        first, *rest = key.split("_")
        return first + "".join(part.capitalize() for part in rest)

    return {name(key): item for key, item in given.items()}


WAYS: dict[str, Any] = {
    "page": {"data": [{"id": "140", "type": "span", "attributes": span()}], "meta": {}},
    "resource": {"id": "140", "type": "span", "attributes": span()}, "attributes": span(),
    "intake": {"data": {"type": "span", "attributes": {"spans": [sent()]}}},
    "sdk": {"_dd.stage": "raw", "event_type": "span", "spans": [sent()]}, "sent": sent(),
    "older key": by_key({"span.kind": "llm"}), "newer key": by_key({"span": {"kind": "llm"}}),
    "sdk object": in_camel_case(span()), "milliseconds": {**span(), "start_ns": 1_700_000_000_250},
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_a_call(name: str):
    assert formats.recognise(WAYS[name]) is datadog
    call = one(WAYS[name])
    assert (call.request_id, call.started_at, call.latency_s) == ("69f:140", AT, 1.5)
    assert (call.provider, call.model, call.release) == ("azure.ai.openai", "gpt-4o", "7")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (11, 7, 18)
    assert (call.cached_tokens, call.reasoning_tokens, call.ttft_s) == (4, 2, 0.5)
    assert call.cost_usd == pytest.approx(0.25)
    assert (call.session_id, call.user, call.operation) == ("talk", "ann", "chat")
    assert (call.messages, call.response) == (ASKED, SAID[0])
    assert call.params == {"temperature": 0.25, "max_tokens": 9,
                           "tools": [{"name": "find", "schema": {}}]}  # fmt: skip
    assert (call.status, call.error_type) == ("ok", None)
    assert call.tags == {
        "service.name": "shop", "deployment.environment.name": "prod", "parent_span_id": "139",
        "span_name": "openai.request", "ml_app": "bot", "tool_choice": "auto",
    }  # fmt: skip
    assert [(each.kind, each.value, each.comment) for each in call.feedback] == [
        ("tone", 0.5, "kind"), ("topic", None, "sport"), ("right", 1.0, None),
    ]  # fmt: skip


def test_what_a_body_says_of_all_its_spans():
    body = {"ml_app": "bot", "session_id": "talk", "tags": ["service:a", "user_handle:bob"],
            "spans": [sent(tags=["service:b"], ml_app=None)]}  # fmt: skip
    call = one({"data": {"type": "span", "attributes": body}})
    assert (call.session_id, call.user, call.tags["service.name"]) == ("talk", "bob", "b")
    assert call.tags["ml_app"] == "bot"


def test_a_cost_that_the_application_gives_is_in_dollars():
    assert one(span(metrics={"total_cost": 0.5})).cost_usd == 0.5


@pytest.mark.parametrize("kind", ["agent", "workflow", "tool", "task", "retrieval"])
def test_other_kinds_are_no_calls_though_they_repeat_its_tokens(kind: str):
    assert records(span(span_kind=kind, evaluation=None)) == [Other()]


def test_an_embedding():
    call = one(span(span_kind="embedding", input={"documents": [{"text": "a"}, {"text": "b"}]},
                    output={"value": "[2 embedding(s)]"}))  # fmt: skip
    assert call.operation == "embeddings"
    assert [message["content"] for message in call.messages] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "error_type", "message"),
    [
        ({"status": "error"}, "_OTHER", None),
        ({"status": "error", "meta": {"error": {"type": "Late", "message": "m"}}}, "Late", "m"),
        ({"status": "error", "meta": {"error.type": "Late", "error.message": "m"}}, "Late", "m"),
    ],
)  # fmt: skip
def test_a_failed_call(changes: dict[str, Any], error_type: str, message: str | None):
    call = one(span(output={}, **changes))
    assert (call.status, call.error_type) == ("error", error_type)
    assert call.tags.get("status_message") == message


def test_tool_calls_and_what_tools_gave_back():
    called = {"name": "find", "arguments": {"q": "x"}, "tool_id": "c1", "type": "function"}
    given = {"role": "tool", "tool_results": [{"result": "found", "tool_id": "c0"}]}
    call = one(span(input={"messages": [given]},
                    output={"messages": [{"role": "reasoning", "content": "Hm."},
                                         {"role": "assistant", "content": "Wait"},
                                         {"role": "assistant", "tool_calls": [called]}]}),
               span(span_id="141", name="find", span_kind="tool", evaluation=None,
                    start_ns=1_700_000_002_000_000_000,
                    input={"value": '{"q": "x"}'}, output={"value": "3 rooms"}))  # fmt: skip
    assert call.messages == [{"role": "tool", "tool_call_id": "c0", "content": "found"}]
    assert (call.response["content"], call.response["reasoning"]) == ("Wait", "Hm.")
    (asked,) = call.tool_calls
    assert asked == {"id": "c1", "type": "function",
                     "function": {"name": "find", "arguments": '{"q":"x"}'}}  # fmt: skip
    assert call.tags["tool_results"] == [
        {"tool_call_id": "c1", "name": "find", "arguments": {"q": "x"}, "result": "3 rooms"}
    ]


def test_several_answers_are_choices_and_text_alone_is_an_answer():
    call = one(span(output={"messages": [SAID[0], {"role": "assistant", "content": "hey"}]}))
    assert call.response == SAID[0]
    assert call.tags["other_choices"] == [{"role": "assistant", "content": "hey"}]
    call = one(span(input={"value": "hi"}, output={"value": "ho"}))
    assert (call.messages, call.response) == ([{"role": "user", "content": "hi"}], SAID[0])


def test_a_prompt_with_name_and_version():
    call = one(span(input={"messages": ASKED, "prompt": {"id": "greet", "version": "2"}}))
    assert (call.prompt_name, call.prompt_version) == ("greet", "2")


def test_of_spans_line_by_line_the_inner_counts_and_the_first_has_no_parent():
    outer, inner = span(span_id="139", parent_id="undefined"), span()
    (call,) = calls(inner, outer)
    assert call.request_id == "69f:140"
    assert "parent_span_id" not in one(outer).tags


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], {}, [[]], [1, "x"], {"a": [1]}])
@pytest.mark.parametrize("make", [span, sent])
def test_a_value_of_any_type_in_any_field_is_read_or_refused(make: Any, odd: Any):
    for key in make():
        value = {**make(), key: odd}
        for page in (value, {"data": [{"type": "span", "attributes": value}, odd]}):
            if datadog.matches(page):
                assert list(datadog.records(page))


@pytest.mark.parametrize("value", [
    5, {}, {"data": []}, {"data": [5]}, {"data": {}}, {"spans": [5]}, {"spans": []},
    {"data": [{"id": "1", "type": "user", "attributes": {"name": "x"}}]},
    {"span_id": "1", "trace_id": "2", "name": "x"},
])  # fmt: skip
def test_what_is_no_span_is_unreadable(value: Any):
    assert not datadog.matches(value)
    with pytest.raises(UnreadableError):
        list(datadog.records(value))


def test_what_is_none_among_spans_is_a_dead_letter():
    found = records({"data": {"type": "span", "attributes": {"spans": [sent(), 5]}}})
    assert isinstance(found[0], Call)
    assert isinstance(found[1], Dead)


def test_prompts_of_completions_have_no_role():
    call = one(
        sent(input={"messages": [{"content": "hi"}]}, output={"messages": [{"content": "ho"}]})
    )
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "ho"}
