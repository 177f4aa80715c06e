from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs.formats import otlp
from tasks.logs.formats.otlp_values import any_value, take
from tasks.logs.shapes.records import Call, Dead, Feedback, Other, UnreadableError

START = 1_700_000_000_000_000_000
OUT = [{"role": "assistant", "parts": [{"type": "text", "content": "x"}], "finish_reason": "stop"}]


def value(item: Any) -> dict[str, Any]:
    """A plain value in OTLP's tagged form."""
    if isinstance(item, bool):
        return {"boolValue": item}
    if isinstance(item, int):
        return {"intValue": str(item)}
    if isinstance(item, float):
        return {"doubleValue": item}
    if isinstance(item, list):
        return {"arrayValue": {"values": [value(each) for each in item]}}
    if isinstance(item, dict):
        return {"kvlistValue": {"values": attributes(item)}}
    return {"stringValue": item}


def attributes(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(item)} for key, item in found.items()]


def span(found: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    base = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    return {
        "traceId": "t1", "spanId": "s1", "name": "chat m",
        "startTimeUnixNano": str(START), "endTimeUnixNano": START + 1_500_000_000,
        "attributes": attributes({**base, **(found or {})}), **fields,
    }  # fmt: skip


def document(*spans: Any, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    about = {"attributes": attributes(resource or {})}
    return {"resourceSpans": [{"resource": about, "scopeSpans": [{"spans": list(spans)}]}]}


def one(found: dict[str, Any] | None = None, **fields: Any) -> Call:
    (call,) = otlp.records(document(span(found, **fields)))
    assert isinstance(call, Call), call
    return call


def event(name: str, **found: Any) -> dict[str, Any]:
    return {"name": name, "timeUnixNano": str(START), "attributes": attributes(found)}


def test_a_span_of_todays_conventions():
    call = one(
        {
            "gen_ai.provider.name": "openai", "gen_ai.response.model": "m-2",
            "gen_ai.response.id": "resp-1", "gen_ai.conversation.id": "conv",
            "gen_ai.request.temperature": 0.5, "gen_ai.request.max_tokens": 100,
            "gen_ai.request.stop_sequences": ["a", "b"], "gen_ai.request.choice.count": 2,
            "gen_ai.tool.definitions": json.dumps([{"name": "f"}]),
            "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.reasoning.output_tokens": 1,
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.response.time_to_first_chunk": 0.25, "user.id": "ann",
            "flywheel.prompt.name": "triage", "flywheel.prompt.version": "3",
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
            "gen_ai.input.messages": json.dumps(
                [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
            ),
            "gen_ai.output.messages": json.dumps(OUT), "http.response.status_code": 200,
        }
    )  # fmt: skip
    assert (call.request_id, call.provider, call.model) == ("t1:s1", "openai", "m-2")
    assert call.started_at == datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001
    assert (call.latency_s, call.ttft_s) == (1.5, 0.25)
    assert call.params == {"temperature": 0.5, "max_tokens": 100, "stop": ["a", "b"], "n": 2,
                           "tools": [{"name": "f"}]}  # fmt: skip
    assert (call.input_tokens, call.output_tokens) == (10, 5)
    assert (call.cached_tokens, call.reasoning_tokens, call.total_tokens) == (4, 1, None)
    assert (call.prompt_name, call.prompt_version) == ("triage", "3")
    assert (call.session_id, call.user, call.http_status) == ("conv", "ann", 200)
    assert call.messages == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"},
    ]  # fmt: skip
    assert call.response == {"role": "assistant", "content": "x"}
    assert (call.finish_reason, call.status) == ("stop", "ok")
    assert call.tags["gen_ai.response.id"] == "resp-1"
    assert call.tags["gen_ai.request.model"] == "m"


def test_a_span_with_the_old_names():
    call = one(
        {
            "gen_ai.system": "openai", "gen_ai.usage.prompt_tokens": 7,
            "gen_ai.usage.completion_tokens": 3, "llm.usage.total_tokens": 10,
            "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "S",
            "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "Q",
            "gen_ai.prompt.10.role": "user", "gen_ai.prompt.10.content": "last",
            "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "A",
            "gen_ai.completion.0.finish_reason": "length",
            "gen_ai.completion.0.tool_calls.0.id": "c1",
            "gen_ai.completion.0.tool_calls.0.name": "f",
            "gen_ai.completion.0.tool_calls.0.arguments": "{}",
        }
    )  # fmt: skip
    assert (call.provider, call.input_tokens, call.output_tokens, call.total_tokens) == (
        "openai", 7, 3, 10,
    )  # fmt: skip
    assert [message["content"] for message in call.messages] == ["S", "Q", "last"]
    assert call.finish_reason == "length"
    assert call.tool_calls == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


def test_names_that_contradict_each_other_both_stay():
    call = one({"gen_ai.usage.input_tokens": 7, "gen_ai.usage.prompt_tokens": 8})
    assert call.input_tokens == 7
    assert call.tags["gen_ai.usage.prompt_tokens"] == 8
    found = {"a": None, "b": 1, "c": 1}
    assert take(found, "a", "b", "c") == 1
    assert found == {"a": None}


def test_messages_may_be_structured_values():
    messages = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    assert one({"gen_ai.input.messages": messages}).messages == [{"role": "user", "content": "hi"}]


def test_parts_fold_into_messages():
    messages = [
        {"role": "assistant", "parts": [
            {"type": "reasoning", "content": "hm"}, {"type": "text", "content": "a"},
            {"type": "text", "content": "b"},
            {"type": "tool_call", "id": "c", "name": "f", "arguments": {"x": 1}}]},
        {"role": "tool", "parts": [
            {"type": "tool_call_response", "id": "c", "result": "rain"},
            {"type": "tool_call_response", "id": "d", "response": {"t": 1}}]},
        {"role": "user", "parts": [{"type": "text", "content": "see"},
                                   {"type": "uri", "uri": "https://x"}]},
        {"role": "user", "parts": []},
    ]  # fmt: skip
    call = one({"gen_ai.input.messages": json.dumps(messages)})
    assistant, rain, other, image, empty = call.messages
    assert (assistant["content"], assistant["reasoning"]) == ("ab", "hm")
    assert assistant["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert rain == {"role": "tool", "tool_call_id": "c", "content": "rain"}
    assert other["content"] == '{"t":1}'
    assert image["content"] == [
        {"type": "text", "text": "see"},
        {"type": "uri", "uri": "https://x"},
    ]
    assert empty["content"] is None


def test_messages_of_span_events():
    events = [
        event("gen_ai.system.message", content="S"),
        event("gen_ai.user.message", content="Q", role="user"),
        event("gen_ai.assistant.message", tool_calls=json.dumps([{"id": "c"}])),
        event("gen_ai.tool.message", content="R", id="c"),
        event("gen_ai.choice", finish_reason="stop", message=json.dumps({"content": "A"})),
        event("exception.seen", note="kept"),
    ]
    call = one(events=events)
    assert [message["role"] for message in call.messages] == ["system", "user", "assistant", "tool"]
    assert call.messages[3]["tool_call_id"] == "c"
    assert call.response == {"role": "assistant", "content": "A"}
    assert call.finish_reason == "stop"
    assert call.tags["events"] == [{"name": "exception.seen", "note": "kept"}]


def test_messages_of_content_events_and_of_event_content():
    prompt = json.dumps([{"role": "user", "content": "Q"}])
    events = [event("gen_ai.content.prompt", **{"gen_ai.prompt": prompt}),
              event("gen_ai.content.completion", **{"gen_ai.completion": "A"})]  # fmt: skip
    call = one(events=events)
    assert (call.messages, call.response) == (
        [{"role": "user", "content": "Q"}], {"role": "assistant", "content": "A"},
    )  # fmt: skip
    inner = json.dumps({"message": {"role": "assistant", "content": "B"}})
    assert one(events=[event("gen_ai.choice", **{"gen_ai.event.content": inner})]).response == {
        "role": "assistant", "content": "B",
    }  # fmt: skip


def test_a_details_event_on_the_span_describes_the_call():
    found = {"gen_ai.output.messages": json.dumps(OUT), "gen_ai.usage.input_tokens": 3}
    call = one(events=[event("gen_ai.client.inference.operation.details", **found)])
    assert (call.input_tokens, call.response) == (3, {"role": "assistant", "content": "x"})


def test_an_answer_that_is_json_stays_text():
    call = one({"gen_ai.completion.0.content": '{"label": "x"}'})
    assert call.response == {"role": "assistant", "content": '{"label": "x"}'}


def test_further_choices_are_kept():
    call = one({"gen_ai.output.messages": json.dumps(["a", {"role": "assistant", "content": "b"}])})
    assert call.response == {"role": "assistant", "content": "a"}
    assert call.tags["other_choices"] == [{"role": "assistant", "content": "b"}]


@pytest.mark.parametrize(
    ("fields", "found", "status", "error_type"),
    [
        ({}, {}, "ok", None),
        ({"status": {"code": 1}}, {}, "ok", None),
        ({"status": {"code": 2}}, {}, "error", "_OTHER"),
        ({"status": {"code": "STATUS_CODE_ERROR"}}, {"error.type": "timeout"}, "error", "timeout"),
        ({}, {"error.type": "timeout"}, "error", "timeout"),
        ({"status": {"code": 2}, "events": [event("exception", **{"exception.type": "IOError"})]},
         {}, "error", "IOError"),
        ({"status": {"code": 1}, "events": [event("exception", **{"exception.type": "IOError"})]},
         {}, "ok", None),
    ],
)  # fmt: skip
def test_status(fields: Any, found: Any, status: str, error_type: str | None):
    call = one(found, **fields)
    assert (call.status, call.error_type) == (status, error_type)


def test_status_message_is_kept():
    assert one(status={"code": 2, "message": "boom"}).tags["status_message"] == "boom"


@pytest.mark.parametrize(
    "broken",
    [
        {"arrayValue": {"values": 2**63}}, {"arrayValue": {"values": 0}}, {"arrayValue": 5},
        {"arrayValue": {"values": ""}}, {"kvlistValue": 5}, {"kvlistValue": {"values": 0}},
    ],
)  # fmt: skip
def test_an_attribute_of_the_wrong_shape_costs_its_own_span_alone(broken: Any):
    bad = span(spanId="bad")
    bad["attributes"].append({"key": "gen_ai.response.finish_reasons", "value": broken})
    read, dead, other = otlp.records(document(span(), bad, span(spanId="s3")))
    assert isinstance(read, Call)
    assert isinstance(other, Call)
    assert isinstance(dead, Dead)
    assert "Value: expected" in dead.error or "attributes: expected" in dead.error


@pytest.mark.parametrize(
    "found",
    [
        {"gen_ai.operation.name": "execute_tool"},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 50},
        {"gen_ai.operation.name": None},
        {"gen_ai.operation.name": "something_new", "gen_ai.request.model": None},
        {"traceloop.span.kind": "workflow"},
    ],
)
def test_spans_that_are_no_model_call_are_counted_not_taken(found: dict[str, Any]):
    assert list(otlp.records(document(span(found)))) == [Other()]


def test_a_span_without_operation_is_a_call_when_it_shows_the_signs_of_one():
    call = one({"gen_ai.operation.name": None, "gen_ai.usage.input_tokens": 1})
    assert call.input_tokens == 1
    assert one({"gen_ai.operation.name": "x", "gen_ai.system": "openai"}).operation == "x"


def test_a_call_without_a_model_still_is_a_call():
    assert one({"gen_ai.request.model": None}).model is None


def test_placeholders_instead_of_times_are_no_time_and_no_dead_letter():
    call = one(startTimeUnixNano="TIME", endTimeUnixNano="TIME")
    assert (call.started_at, call.latency_s) == (None, None)
    assert call.tags["startTimeUnixNano"] == "TIME"
    assert one(startTimeUnixNano="0", endTimeUnixNano=None).started_at is None


def test_an_end_before_the_start_is_left_to_the_expectations():
    assert one(endTimeUnixNano=START - 10**9).latency_s == -1.0


def test_release_from_the_resource_unless_the_span_says():
    about = {"service.version": "2.1", "service.name": "bot"}
    (call,) = otlp.records(document(span(), resource=about))
    assert isinstance(call, Call)
    assert (call.release, call.tags["service.name"]) == ("2.1", "bot")
    (call,) = otlp.records(document(span({"flywheel.release": "r9"}), resource=about))
    assert isinstance(call, Call)
    assert call.release == "r9"


def test_an_evaluation_event_is_feedback_on_its_call():
    found = {"gen_ai.evaluation.name": "thumbs", "gen_ai.evaluation.score.value": -1.0,
             "gen_ai.evaluation.explanation": "wrong",
             "flywheel.feedback.corrected": "right"}  # fmt: skip
    call = one(events=[event("gen_ai.evaluation.result", **found)])
    (feedback,) = call.feedback
    assert (feedback.kind, feedback.value, feedback.comment, feedback.corrected) == (
        "thumbs", -1.0, "wrong", "right",
    )  # fmt: skip
    assert feedback.given_at == datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001
    other, signal = otlp.records(document(span(
        {"gen_ai.operation.name": "invoke_agent"},
        events=[event("gen_ai.evaluation.result", **found)],
    )))  # fmt: skip
    assert isinstance(other, Other)
    assert isinstance(signal, Feedback)
    assert signal.request_id == "t1:s1"


def log(name: str | None, found: dict[str, Any], **fields: Any) -> dict[str, Any]:
    record = {"timeUnixNano": str(START), "attributes": attributes(found), **fields}
    if name:
        record["eventName"] = name
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def test_log_records_with_the_details_of_a_call():
    name = "gen_ai.client.inference.operation.details"
    found = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    body = value({"gen_ai.output.messages": OUT})
    (call,) = otlp.records(log(name, found, body=body, traceId="t", spanId="s"))
    assert isinstance(call, Call)
    assert (call.request_id, call.response) == ("t:s", {"role": "assistant", "content": "x"})
    (by_attribute,) = otlp.records(log(None, {"event.name": name, **found}))
    assert isinstance(by_attribute, Call)
    assert by_attribute.request_id is None
    assert list(otlp.records(log("app.started", {}))) == [Other()]


def test_log_records_with_an_evaluation():
    found = {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.label": "pass"}
    (signal,) = otlp.records(log("gen_ai.evaluation.result", {**found, "gen_ai.response.id": "r"}))
    assert isinstance(signal, Feedback)
    assert (signal.request_id, signal.kind, signal.comment) == ("r", "Relevance", "pass")
    (dead,) = otlp.records(log("gen_ai.evaluation.result", found))
    assert isinstance(dead, Dead)


def test_metrics_are_counted():
    assert list(otlp.records({"resourceMetrics": [{}, {}]})) == [Other(2)]


def test_spellings_of_the_protocol_buffer_mapping():
    found = {"resource_spans": [{"scope_spans": [{"spans": [span()]}]}]}
    assert otlp.matches(found)
    assert isinstance(next(otlp.records(found)), Call)


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceSpans": 5},
        {"resourceSpans": [5]},
        {"resourceSpans": [{"scopeSpans": "x"}]},
        {"resourceSpans": [{"scopeSpans": [5]}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [5]}]}]},
        document({"attributes": 5}),
        document({"attributes": [{"value": {}}]}),
        document({"attributes": [{"key": "a", "value": 5}]}),
        document(span(events=5)),
        document(span(events=[5])),
        document(span({"gen_ai.usage.input_tokens": "many"})),
        document(span(startTimeUnixNano=str(2**70))),
        {"resourceSpans": [{"resource": {"attributes": 5}, "scopeSpans": []}]},
    ],
)
def test_broken_pieces_are_dead_letters(broken: Any):
    (dead,) = otlp.records(broken)
    assert isinstance(dead, Dead)
    assert dead.raw


def test_one_broken_span_does_not_cost_its_neighbours():
    found = list(otlp.records(document(span(), 5, span())))
    assert [type(each) for each in found] == [Call, Dead, Call]


@pytest.mark.parametrize("foreign", [5, [], {}, {"spans": []}])
def test_what_is_no_otlp_is_unreadable(foreign: Any):
    with pytest.raises(UnreadableError):
        list(otlp.records(foreign))
    assert not otlp.matches(foreign)


def test_every_kind_of_value():
    assert any_value({"intValue": 5}) == any_value({"intValue": "5"}) == 5
    assert any_value({"bytesValue": "aGk="}) == "aGk="
    assert any_value({"arrayValue": {}}) == any_value({"arrayValue": None}) == []
    assert any_value({"kvlistValue": {}}) == any_value({"kvlistValue": None}) == {}
    assert any_value(value({"a": [1, 2.5, True, "x"]})) == {"a": [1, 2.5, True, "x"]}
    assert any_value({}) is None


def test_a_span_without_ids_gets_its_id_from_content():
    assert one(traceId=None).request_id is None
    assert one(spanId="").request_id is None


def test_message_events_in_an_attribute_of_the_span():
    said = [
        {"event.name": "gen_ai.system.message", "content": "Be brief.", "role": "system"},
        {"event.name": "gen_ai.user.message", "content": "hi", "role": "user"},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant",
                                                               "content": "ho"}},
    ]  # fmt: skip
    call = one({"events": json.dumps(said)})
    assert [message["content"] for message in call.messages] == ["Be brief.", "hi"]
    assert call.response == {"role": "assistant", "content": "ho"}
    assert "events" not in call.tags


def test_messages_of_the_vercel_ai_sdk():
    asked = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    tools = [{"toolCallId": "c", "toolName": "f", "input": "{}"}]
    call = one({
        "ai.prompt.messages": json.dumps(asked), "ai.response.text": "ho",
        "ai.response.toolCalls": json.dumps(tools)})  # fmt: skip
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response["content"] == "ho"
    assert call.tool_calls[0]["function"] == {"name": "f", "arguments": "{}"}
