"""Batch files, the five fields of the data flywheel, TensorZero."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import data_flywheel, openai_batch, tensorzero
from tasks.logs.shapes.records import Call, Feedback, Other, UnreadableError
from tests.tasks.logs.formats.test_anthropic import MESSAGE
from tests.tasks.logs.formats.test_openai_chat import COMPLETION, REQUEST, pair

OUTPUT = {"id": "batch_req_1", "custom_id": "a", "error": None,
          "response": {"status_code": 200, "request_id": "u", "body": COMPLETION}}  # fmt: skip
INPUT = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": REQUEST}
CHAT_ROW = {
    "id": "0195", "function_name": "haiku", "variant_name": "v1", "episode_id": "e",
    "input": json.dumps({"system": {"style": "x"}, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]}]}),
    "output": json.dumps([{"type": "text", "text": "ho"}, {
        "type": "tool_call", "id": "t", "name": "f", "arguments": {"a": 1}}]),
    "processing_time_ms": "1500", "ttft_ms": None, "tags": {"user": "ann"},
    "inference_params": '{"chat_completion": {"temperature": 0.5}}',
}  # fmt: skip


def one(module: Any, value: Any) -> Call:
    (found,) = module.records(value)
    assert isinstance(found, Call)
    return found


def test_batch_output_is_joined_on_custom_id_and_the_input_alone_is_no_call():
    assert formats.recognise([OUTPUT]) is formats.recognise([INPUT]) is openai_batch
    alone = one(openai_batch, OUTPUT)
    assert (alone.request_id, alone.messages, alone.http_status) == ("chatcmpl-1", None, 200)
    (call,) = openai_batch.joined(OUTPUT, {"b": {}, "a": INPUT})
    assert isinstance(call, Call)
    assert (call.messages, call.params) == (REQUEST["messages"], {"temperature": 0.2})
    assert list(openai_batch.records(INPUT)) == [Other()]


def test_batch_errors():
    expired = {**OUTPUT, "response": None, "error": {"code": "batch_expired", "message": "x"}}
    call = one(openai_batch, expired)
    assert (call.status, call.error_type, call.request_id) == (
        "error", "batch_expired", "batch_req_1",
    )  # fmt: skip
    bad = {"status_code": 400, "body": {"error": {"code": "invalid"}}}
    assert one(openai_batch, {**OUTPUT, "response": bad}).error_type == "invalid"


def test_anthropic_batch_results():
    good = {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}
    assert formats.recognise(good) is openai_batch
    asked = {"a": {"custom_id": "a", "params": {"messages": [{"role": "user", "content": "q"}]}}}
    (call,) = openai_batch.joined(good, asked)
    assert isinstance(call, Call)
    assert (call.request_id, call.provider) == ("msg_1", "anthropic")
    assert call.messages == [{"role": "user", "content": "q"}]
    late = one(openai_batch, {"custom_id": "a", "result": {"type": "expired"}})
    assert (late.error_type, late.request_id) == ("expired", "batch:a")


def test_five_fields_of_a_data_flywheel_log():
    line = {"timestamp": 1_700_000_000, "workload_id": "triage", "client_id": "c",
            "contract_version": 2, **pair()}  # fmt: skip
    assert formats.recognise(line) is data_flywheel
    call = one(data_flywheel, line)
    assert (call.prompt_name, call.tags["client_id"]) == ("triage", "c")
    assert (call.request_id, call.tags["contract_version"]) == ("chatcmpl-1", 2)


def test_error_details_of_a_data_flywheel_log():
    line = {"timestamp": 1, "workload_id": "w", "client_id": "c", "request": REQUEST,
            "error_details": {"type": "timeout", "status_code": 504}}  # fmt: skip
    assert formats.recognise(line) is data_flywheel
    call = one(data_flywheel, line)
    assert (call.status, call.error_type, call.http_status) == ("error", "timeout", 504)


def test_an_id_made_from_the_timestamp_is_no_key():
    line = {"timestamp": 5, "workload_id": "w", "client_id": "c", "request": REQUEST,
            "response": {**COMPLETION, "id": "chatcmpl-5"}}  # fmt: skip
    call = one(data_flywheel, line)
    assert (call.request_id, call.tags["response_id"]) == (None, "chatcmpl-5")


def test_tensorzero_chat_inference():
    assert formats.recognise(CHAT_ROW) is tensorzero
    call = one(tensorzero, CHAT_ROW)
    assert (call.request_id, call.prompt_name, call.prompt_version) == ("0195", "haiku", "v1")
    assert call.messages == [
        {"role": "system", "content": '{"style":"x"}'}, {"role": "user", "content": "hi"},
    ]  # fmt: skip
    assert call.response["content"] == "ho"
    assert call.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert (call.latency_s, call.session_id, call.tags) == (1.5, "e", {"user": "ann"})


def test_tensorzero_json_and_model_inferences():
    row = {**CHAT_ROW, "output": '{"raw": "{\\"a\\": 1}", "parsed": {"a": 1}}'}
    assert one(tensorzero, row).response == {"role": "assistant", "content": '{"a": 1}'}
    assert one(tensorzero, {**CHAT_ROW, "output": ""}).error_type == "no_completion"
    model = {"id": "m", "inference_id": "i", "model_name": "gpt", "model_provider_name": "openai",
             "input_tokens": "10", "output_tokens": 4, "response_time_ms": 20, "system": "s",
             "input_messages": '[{"role": "user", "content": "q"}]',
             "output": '[{"type": "text", "text": "a"}]', "raw_response": "{}"}  # fmt: skip
    assert formats.recognise(model) is tensorzero
    call = one(tensorzero, model)
    assert (call.input_tokens, call.output_tokens, call.latency_s) == (10, 4, 0.02)
    assert [m["content"] for m in call.messages] == ["s", "q"]


def test_the_time_of_a_tensorzero_inference_is_in_its_id():
    call = one(tensorzero, {**CHAT_ROW, "id": "017F22E2-79B0-7CC3-98C4-DC0C0C07398F"})
    assert str(call.started_at) == "2022-02-22 19:22:22"  # the example of RFC 9562
    assert one(tensorzero, {**CHAT_ROW, "timestamp": "2025-01-01 00:00:00"}).started_at.year == 2025


def test_tensorzero_bodies_templates_and_feedback():
    raw = {"object": "chat.completion", "choices": [{"message": {"content": "ho"}}]}
    model = {"id": "m", "inference_id": "i", "model_provider_name": "openai",
             "raw_request": json.dumps({"messages": [{"role": "user", "content": "hi"}]}),
             "raw_response": json.dumps(raw)}  # fmt: skip
    call = one(tensorzero, model)
    assert (call.messages[0]["content"], call.response["content"]) == ("hi", "ho")
    asked = {"messages": [{"role": "user", "content": [
        {"type": "template", "name": "user", "arguments": {"topic": "sea"}}]}]}  # fmt: skip
    call = one(tensorzero, {**CHAT_ROW, "input": asked})
    assert call.messages == [{"role": "user", "content": '{"topic":"sea"}'}]
    assert call.params == {"temperature": 0.5}
    good = {"target_id": "i", "metric_name": "good", "value": True}
    assert list(tensorzero.records(good)) == [Feedback("good", request_id="i", value=1.0)]
    shown = {"target_id": "i", "type": "demonstration", "value": "Hey"}
    assert list(tensorzero.records(shown)) == [
        Feedback("correction", request_id="i", corrected="Hey")
    ]


def test_tensorzero_datapoints_are_no_calls():
    row = {"dataset_name": "d", "function_name": "f", "id": "1", "input": "{}", "output": None}
    assert formats.recognise(row) is tensorzero
    assert list(tensorzero.records(row)) == [Other()]


@pytest.mark.parametrize("module", [openai_batch, data_flywheel, tensorzero])
@pytest.mark.parametrize("value", [5, {}, {"custom_id": "a"}])
def test_what_is_no_record_is_unreadable(module: Any, value: Any):
    with pytest.raises(UnreadableError):
        list(module.records(value))
