from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import langfuse
from tasks.logs.shapes.records import Call, Dead, Feedback, Other, UnreadableError


def observation(own: str = "g", kind: str = "GENERATION", **changes: Any) -> dict[str, Any]:
    return {
        "id": own, "traceId": "t", "type": kind, "name": "chat", "parentObservationId": "root",
        "startTime": "2025-06-06T11:31:33.000Z", "endTime": "2025-06-06T11:31:34.500Z",
        "completionStartTime": "2025-06-06T11:31:33.500Z", "level": "DEFAULT", "model": "gpt-4o",
        "input": json.dumps([{"role": "user", "content": "hi"}]), "output": "ho",
        "modelParameters": {"temperature": 1, "seed": ""}, "totalCost": 0.25,
        "usageDetails": {"input": 40, "input_cached_tokens": 2, "output": 3,
                         "output_reasoning_tokens": 1, "total": 46},
        "metadata": json.dumps({"attributes": {"gen_ai.system": "openai"}, "team": "x"}),
        **changes,
    }  # fmt: skip


def export(*observations: dict[str, Any], **trace: Any) -> dict[str, Any]:
    """Every observation twice: in the trace without input and output, beside it with them."""
    bare = [{**each, "input": None, "output": None, "metadata": "{}"} for each in observations]
    about = {"id": "t", "sessionId": "s", "userId": "ann", "release": "v1", "scores": [],
             "corrections": [], **trace}  # fmt: skip
    return {"trace": {**about, "observations": bare}, "observations": list(observations)}


def calls(value: Any) -> list[Call]:
    return [each for each in langfuse.records(value) if isinstance(each, Call)]


def test_an_export_holds_every_observation_twice_and_each_counts_once():
    value = export(observation("root", "SPAN", parentObservationId=None), observation())
    assert formats.recognise(value) is langfuse
    other, call = langfuse.records(value)
    assert other == Other()
    assert isinstance(call, Call)
    assert (call.request_id, call.session_id, call.user, call.release) == ("t:g", "s", "ann", "v1")
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert call.response == {"role": "assistant", "content": "ho"}
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (42, 4, 46)
    assert (call.cached_tokens, call.reasoning_tokens) == (2, 1)
    assert (call.latency_s, call.ttft_s, call.cost_usd) == (1.5, 0.5, 0.25)
    assert (call.provider, call.params) == ("openai", {"temperature": 1})
    assert call.tags["team"] == "x"


def test_two_generations_around_one_api_call_count_once_by_the_inner():
    tool = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    outer = observation("outer", output=json.dumps(tool), usageDetails={"input": 99, "output": 99})
    inner = observation("inner", parentObservationId="outer", output="None", input=None)
    (call,) = calls(export(outer, inner))
    assert (call.request_id, call.input_tokens, call.output_tokens) == ("t:inner", 42, 4)
    assert call.tool_calls == [{"id": "c"}]
    assert call.messages == [{"role": "user", "content": "hi"}]


def test_a_generation_under_a_tool_of_another_is_a_call_of_its_own():
    first = observation("a")
    second = observation("b", parentObservationId="tool")
    value = export(first, observation("tool", "TOOL", parentObservationId="a"), second)
    assert [each.request_id for each in calls(value)] == ["t:a", "t:b"]


def test_a_plain_span_between_two_generations_does_not_part_them():
    outer = observation("outer", parentObservationId=None, timeToFirstToken=0.3)
    span = observation("span", "SPAN", parentObservationId="outer")
    inner = observation("inner", parentObservationId="span", completionStartTime=None,
                        timeToFirstToken=0.25)  # fmt: skip
    (call,) = calls(export(outer, span, inner))
    assert (call.request_id, call.ttft_s) == ("t:inner", 0.25)


def test_scores_one_a_line():
    line = {"id": "s", "trace_id": "t", "observation_id": "g", "name": "tone", "value": 1,
            "source": "API", "timestamp": "2025-01-01 00:00:00"}  # fmt: skip
    assert formats.recognise(line) is langfuse
    (signal,) = langfuse.records(line)
    assert isinstance(signal, Feedback)
    assert (signal.kind, signal.value, signal.request_id) == ("tone", 1.0, "t:g")
    assert list(langfuse.records({**line, "observation_id": None})) == [Other()]


def test_scores_and_corrections_are_feedback_on_their_call_or_the_last():
    late = observation("late", startTime="2025-06-06T12:00:00Z", endTime=None)
    scores = [
        {"name": "toxicity", "value": 0.8, "comment": "rude", "observationId": "g"},
        {"name": "tone", "value": None, "stringValue": "warm", "observationId": None},
        {"name": "broken", "value": "x"},
    ]
    corrected = [{"name": "output", "value": 0, "longStringValue": "better"}]
    found = list(
        langfuse.records(export(late, observation(), scores=scores, corrections=corrected))
    )
    by_id = {each.request_id: each.feedback for each in found if isinstance(each, Call)}
    assert [(each.kind, each.value, each.comment) for each in by_id["t:g"]] == [
        ("toxicity", 0.8, "rude")
    ]
    assert [(each.kind, each.comment, each.corrected) for each in by_id["t:late"]] == [
        ("tone", "warm", None), ("correction", None, "better"),
    ]  # fmt: skip
    assert [each for each in found if isinstance(each, Dead)]


def test_errors_and_empty_answers_are_error_rows():
    (failed,) = calls(export(observation(level="ERROR", output=None, statusMessage="boom")))
    assert (failed.status, failed.error_type, failed.tags["status_message"]) == (
        "error", "_OTHER", "boom",
    )  # fmt: skip
    (empty,) = calls(export(observation(output='{"role": "assistant", "content": ""}')))
    assert (empty.status, empty.error_type) == ("error", "no_completion")


def test_a_trace_of_the_api_and_observations_one_a_line_in_snake_case():
    trace = {"id": "t", "userId": "ann", "observations": [observation()]}
    assert formats.recognise(trace) is langfuse
    assert calls(trace)[0].user == "ann"
    line = {"id": "g", "trace_id": "t", "type": "GENERATION", "start_time": "2025-01-01 00:00:00",
            "end_time": "2025-01-01 00:00:02", "provided_model_name": "m",
            "usage_details": '{"input": 3, "output": 2}', "output": '{"role": "assistant", '
            '"content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}'}  # fmt: skip
    assert formats.recognise(line) is langfuse
    (call,) = calls(line)
    assert (call.request_id, call.model, call.input_tokens, call.latency_s) == ("t:g", "m", 3, 2.0)
    assert call.tool_calls[0]["function"]["name"] == "f"


@pytest.mark.parametrize("value", [5, {}, {"trace": {}, "observations": []}])
def test_what_is_no_trace_is_unreadable(value: Any):
    with pytest.raises(UnreadableError):
        list(langfuse.records(value))
