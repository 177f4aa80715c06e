"""What tracing tools export: Langfuse, OpenInference, MLflow, TensorZero."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tasks.ingest import formats
from tasks.ingest.formats import langfuse, loose, mlflow_traces, openinference, otlp, tensorzero
from tasks.ingest.records import Call, Dead, Feedback, Other, UnreadableError

HELLO = [{"role": "user", "content": "Hello"}]


def observation(id: str, parent: str | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "id": id, "traceId": "t", "parentObservationId": parent, "type": "GENERATION",
        "startTime": "2025-06-06T11:31:33.000Z", "endTime": "2025-06-06T11:31:34.500Z",
        "model": "gpt-4o", "level": "DEFAULT", "input": json.dumps({"messages": HELLO}),
        "output": "Hi", "modelParameters": {"temperature": 1, "model": "gpt-4o"},
        "usageDetails": {"input": 41, "output": 3, "total": 44, "prompt_details.cache_read": 8},
        "costDetails": {"total": 0.25}, "timeToFirstToken": 0.3, **changes,
    }  # fmt: skip


def trace(*observations: Any, scores: Any = ()) -> dict[str, Any]:
    inner = {"id": "t", "projectId": "p", "userId": "u", "sessionId": "s", "release": "r1",
             "observations": list(observations), "scores": list(scores)}  # fmt: skip
    return {"trace": inner, "observations": list(observations)}


def test_langfuse_export_counts_every_observation_once():
    span = observation("a", type="SPAN")
    value = trace(span, observation("b", "a"))
    assert formats.recognise(value) is langfuse
    other, call = langfuse.records(value)
    assert other == Other()
    assert isinstance(call, Call)
    assert (call.request_id, call.user, call.session_id, call.release) == ("t:b", "u", "s", "r1")
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (41, 3, 8)
    assert (call.latency_s, call.ttft_s, call.cost_usd) == (1.5, 0.3, 0.25)
    assert (call.messages, call.params) == (HELLO, {"temperature": 1})
    assert call.response == {"role": "assistant", "content": "Hi"}


def test_generations_nested_around_one_call_are_one_call():
    value = trace(observation("a"), observation("b", "a", type="SPAN"), observation("c", "b"))
    kinds = [type(each) for each in langfuse.records(value)]
    assert kinds == [Other, Other, Call]
    (alone,) = langfuse.records(observation("z"))
    assert isinstance(alone, Call)


def test_langfuse_scores_are_feedback_where_their_call_is_known():
    score = {"id": "s1", "name": "toxicity", "value": 0.8, "comment": "rude", "traceId": "t",
             "timestamp": "2025-07-11T07:45:43Z", "observationId": None}  # fmt: skip
    *_, found = langfuse.records(trace(observation("a"), scores=[score]))
    assert isinstance(found, Feedback)
    assert (found.kind, found.value, found.request_id) == ("toxicity", 0.8, "t:a")
    two = (observation("a"), observation("b"))
    assert list(langfuse.records(trace(*two, scores=[score])))[-1] == Other()
    *_, named = langfuse.records(trace(*two, scores=[{**score, "observationId": "b"}]))
    assert isinstance(named, Feedback)
    assert named.request_id == "t:b"
    *_, broken = langfuse.records(trace(observation("a"), scores=[3, {**score, "value": "x"}]))
    assert isinstance(broken, Dead)


def test_langfuse_errors_and_broken_numbers():
    (failed,) = langfuse.records(observation("a", level="ERROR", output=None))
    assert isinstance(failed, Call)
    assert (failed.status, failed.response) == ("error", None)
    dead, call = langfuse.records(trace(observation("a", usageDetails={"input": "x"}),
                                        observation("b")))  # fmt: skip
    assert isinstance(dead, Dead)
    assert isinstance(call, Call)


GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]},
                       {"role": "model", "parts": [{"function_call": {"name": "f", "args": {}}}]},
                       {"role": "user", "parts": [{"function_response":
                                                   {"name": "f", "response": {"a": 1}}}]}],
          "config": {"system_instruction": "Greet."}}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Hello", HELLO), (HELLO, HELLO), (json.dumps(HELLO), HELLO), ({"args": ["Hello"]}, HELLO),
        ({"prompt": "Hello"}, HELLO), ({"role": "user", "content": "Hello"}, HELLO),
        ([{"message": {"role": "user", "content": "Hello"}}], HELLO), (None, None), ("", None),
        ({"x": 1}, [{"role": "user", "content": '{"x":1}'}]),
        ([{"role": "user", "content": "Hello", "event.name": "gen_ai.user.message"}], HELLO),
        ([{"type": "function_call_output", "call_id": "c", "output": "o"}],
         [{"role": "tool", "tool_call_id": "c", "content": "o"}]),
    ],
)  # fmt: skip
def test_inputs_of_any_shape(value: Any, expected: Any):
    assert loose.read_messages(value) == expected


def test_inputs_and_outputs_of_gemini():
    system, asked, called, result = loose.read_messages(GEMINI) or []
    assert (system["content"], asked["content"]) == ("Greet.", "hi")
    assert called["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert result == {"role": "tool", "content": '{"a":1}'}
    answer = loose.read_answer({"content": {"role": "model", "parts": [{"text": "Hey"}]},
                                "finish_reason": "STOP"})  # fmt: skip
    assert answer.message == {"role": "assistant", "content": "Hey"}
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize(
    "value",
    ["Hi", {"role": "assistant", "content": "Hi"}, {"message": {"role": "ai", "content": "Hi"}},
     [{"role": "user", "content": "x"}, {"role": "assistant", "content": "Hi"}],
     {"object": "chat.completion", "choices": [{"message": {"content": "Hi"}}]},
     {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
     {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}}]}],
)  # fmt: skip
def test_outputs_of_any_shape(value: Any):
    assert loose.read_answer(value).message == {"role": "assistant", "content": "Hi"}
    assert loose.read_answer(None).message is None


FLAT = {
    "openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "gpt-5-nano",
    "llm.invocation_parameters": '{"model": "gpt-5-nano", "tool_choice": "auto"}',
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.contents.0.message_content.type": "text",
    "llm.input_messages.0.message.contents.0.message_content.text": "Hello",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{}",
    "llm.token_count.prompt": 162, "llm.token_count.completion": 287, "llm.token_count.total": 449,
    "llm.token_count.prompt_details.cache_read": 5,
    "llm.token_count.completion_details.reasoning": 256, "session.id": "s",
    "llm.tools.0.tool.json_schema": '{"type": "function"}',
}  # fmt: skip


def as_pairs(flat: dict[str, Any]) -> list[dict[str, Any]]:
    values = {
        key: {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
        for key, value in flat.items()
    }
    return [{"key": key, "value": value} for key, value in values.items()]


def otlp_of(span: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


@pytest.mark.parametrize("shape", ["flat", "pairs", "nested", "otlp"])
def test_openinference_spans_in_every_shape(shape: str):
    span = {"name": "ChatCompletion", "traceId": "aa", "spanId": "bb",
            "startTimeUnixNano": "1764000000000000000", "endTimeUnixNano": "1764000001500000000",
            "status": {"code": "STATUS_CODE_OK"}}  # fmt: skip
    attributes: Any = {"flat": FLAT, "nested": openinference.nested(FLAT)}.get(
        shape, as_pairs(FLAT)
    )
    value: Any = {**span, "attributes": attributes}
    value, format = (otlp_of(value), otlp) if shape == "otlp" else (value, openinference)
    assert formats.recognise(value) is format
    (call,) = format.records(value)
    assert isinstance(call, Call)
    assert (call.request_id, call.provider, call.model) == ("aa:bb", "openai", "gpt-5-nano")
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (162, 287, 449)
    assert (call.cached_tokens, call.reasoning_tokens, call.latency_s) == (5, 256, 1.5)
    assert (call.messages, call.session_id, call.status) == (HELLO, "s", "ok")
    assert call.tool_calls == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert call.params == {"tool_choice": "auto", "tools": [{"type": "function"}]}


def test_openinference_parents_are_no_calls_and_errors_have_a_class():
    chain = {"attributes": {"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 5}}
    assert list(openinference.records(chain)) == [Other()]
    raised = [{"name": "exception", "attributes": {"exception.type": "RateLimit"}}]
    span = {"attributes": {"openinference.span.kind": "LLM", "input.value": "Hello"},
            "status": {"code": 2}, "events": raised}  # fmt: skip
    (call,) = openinference.records(span)
    assert isinstance(call, Call)
    assert (call.status, call.error_type, call.messages) == ("error", "RateLimit", HELLO)


def twice(value: Any) -> str:
    return json.dumps(json.dumps(value)) if isinstance(value, str) else json.dumps(value)


def mlflow_trace(**changes: Any) -> dict[str, Any]:
    completion = {"object": "chat.completion", "model": "gpt-4o", "choices": [
        {"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}  # fmt: skip
    span = {
        "trace_id": base64.b64encode(bytes(range(16))).decode(), "name": "Completions",
        "span_id": base64.b64encode(bytes(range(8))).decode(), "status": {"code": "STATUS_CODE_OK"},
        "start_time_unix_nano": 1764000000000000000, "end_time_unix_nano": 1764000002000000000,
        "attributes": {
            "mlflow.spanType": json.dumps("CHAT_MODEL"),
            "mlflow.spanInputs": json.dumps({"messages": HELLO, "model": "gpt-4o", "n": 1}),
            "mlflow.spanOutputs": json.dumps(completion),
            "mlflow.chat.tokenUsage": json.dumps({"input_tokens": 9, "output_tokens": 2}),
        },
    }  # fmt: skip
    parent = {**span, "span_id": base64.b64encode(b"parent01").decode(),
              "attributes": {"mlflow.spanType": json.dumps("AGENT")}}  # fmt: skip
    return {"info": {"trace_id": "tr-1", "trace_metadata": {"mlflow.trace.user": "u"}, **changes},
            "data": {"spans": [parent, span]}}  # fmt: skip


def test_mlflow_traces():
    judged = {"assessment_name": "correct", "feedback": {"value": True}, "rationale": "yes",
              "source": {"source_id": "anna"}, "create_time": "2025-11-24T10:00:00Z"}  # fmt: skip
    value = mlflow_trace(assessments=[judged, 3])
    assert formats.recognise(value) is mlflow_traces
    other, call, feedback, dead = mlflow_traces.records(value)
    assert other == Other()
    assert isinstance(call, Call)
    assert call.request_id == f"{bytes(range(16)).hex()}:{bytes(range(8)).hex()}"
    assert (call.model, call.user, call.latency_s) == ("gpt-4o", "u", 2.0)
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (9, 2, "stop")
    assert (call.messages, call.params) == (HELLO, {"n": 1})
    assert call.response == {"role": "assistant", "content": "Hi"}
    assert isinstance(feedback, Feedback)
    assert (feedback.kind, feedback.value, feedback.by) == ("correct", 1.0, "anna")
    assert isinstance(dead, Dead)


def test_mlflow_values_encoded_twice_and_data_as_text():
    value = mlflow_trace()
    span = value["data"]["spans"][1]
    span["attributes"]["mlflow.spanInputs"] = twice("Hello")
    span["attributes"]["mlflow.spanOutputs"] = json.dumps("Hi")
    value["data"] = json.dumps(value["data"])
    _, call = mlflow_traces.records(value)
    assert isinstance(call, Call)
    assert call.messages == HELLO
    assert call.response == {"role": "assistant", "content": "Hi"}


def test_tensorzero_inferences_feedback_and_datapoints():
    row = {
        "id": "i1", "function_name": "haiku", "variant_name": "v2", "episode_id": "e",
        "input": json.dumps({"system": "Be brief.", "messages": [
            {"role": "user", "content": [{"type": "text", "value": "Hello"}]}]}),
        "output": json.dumps([{"type": "text", "text": "Hi"}]), "processing_time_ms": 1500,
        "inference_params": json.dumps({"chat_completion": {"temperature": 0}}),
        "timestamp": "2025-03-10 20:14:21", "tags": {"a": "b"},
    }  # fmt: skip
    assert formats.recognise(row) is tensorzero
    (call,) = tensorzero.records(row)
    assert isinstance(call, Call)
    assert call.messages == [{"role": "system", "content": "Be brief."}, *HELLO]
    assert call.response == {"role": "assistant", "content": "Hi"}
    assert (call.prompt_name, call.prompt_version, call.session_id) == ("haiku", "v2", "e")
    assert (call.latency_s, call.params, call.tags) == (1.5, {"temperature": 0}, {"a": "b"})
    (parsed,) = tensorzero.records({**row, "output": {"raw": "{}", "parsed": {}}})
    assert isinstance(parsed, Call)
    assert parsed.response == {"role": "assistant", "content": "{}"}
    point = {"dataset_name": "d", "function_name": "haiku", "id": "x", "input": "{}"}
    assert list(tensorzero.records(point)) == [Other()]
    (good,) = tensorzero.records({"target_id": "i1", "metric_name": "good", "value": True})
    assert good == Feedback("good", request_id="i1", value=1.0)
    (shown,) = tensorzero.records({"target_id": "i1", "type": "demonstration", "value": "Hey"})
    assert isinstance(shown, Feedback)
    assert (shown.kind, shown.corrected) == ("correction", "Hey")


def test_tensorzero_model_inference():
    raw = {"object": "chat.completion", "choices": [{"message": {"content": "Hi"}}]}
    row = {"id": "m", "inference_id": "i1", "raw_request": json.dumps({"messages": HELLO}),
           "raw_response": json.dumps(raw), "model_name": "gpt", "model_provider_name": "x",
           "input_tokens": 5, "output_tokens": 1, "ttft_ms": 10}  # fmt: skip
    (call,) = tensorzero.records(row)
    assert isinstance(call, Call)
    assert (call.model, call.input_tokens, call.ttft_s) == ("gpt", 5, 0.01)
    assert (call.messages, call.response) == (HELLO, {"role": "assistant", "content": "Hi"})


@pytest.mark.parametrize("format", [langfuse, openinference, mlflow_traces, tensorzero])
@pytest.mark.parametrize("value", [3, {}, [], {"trace": {}}])
def test_what_is_no_trace_is_unreadable(format: Any, value: Any):
    with pytest.raises(UnreadableError):
        list(format.records(value))
