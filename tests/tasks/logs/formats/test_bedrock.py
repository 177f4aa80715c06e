from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import bedrock
from tasks.logs.shapes.records import Call, Dead, UnreadableError

ASKED = {"messages": [{"role": "user", "content": [{"text": "hi"}]}],
         "system": [{"text": "Be brief."}], "inferenceConfig": {"maxTokens": 5}}  # fmt: skip
SAID = {
    "output": {"message": {"role": "assistant", "content": [{"text": "ho"}]}},
    "stopReason": "end_turn", "metrics": {"latencyMs": 249},
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
}  # fmt: skip


def record(asked: Any = ASKED, said: Any = SAID, **changes: Any) -> dict[str, Any]:
    return {
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "requestId": "r",
        "timestamp": "2025-05-15 14:17:22.000000000", "operation": "Converse", "modelId": "m",
        "identity": {"arn": "arn:aws:sts::1:assumed-role/ann"}, "region": "eu-west-1",
        "input": {"inputContentType": "application/json", "inputBodyJson": asked,
                  "inputTokenCount": 3},
        "output": {"outputContentType": "application/json", "outputBodyJson": said,
                   "outputTokenCount": 2},
        **changes,
    }  # fmt: skip


def one(value: Any) -> Call:
    (found,) = bedrock.records(value)
    assert isinstance(found, Call)
    return found


def test_a_converse_record_is_one_call():
    assert formats.recognise(record()) is bedrock
    call = one(record())
    assert call.started_at == datetime(2025, 5, 15, 14, 17, 22)  # noqa: DTZ001
    assert [m["content"] for m in call.messages] == ["Be brief.", "hi"]
    assert (call.response["content"], call.finish_reason, call.latency_s) == ("ho", "stop", 0.249)
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (3, 2, 5)
    assert call.params == {"inferenceConfig": {"maxTokens": 5}}


def test_different_records_may_share_a_request_id_and_the_same_record_keeps_its_own():
    other = record(said={**SAID, "stopReason": "max_tokens"})
    assert one(record()).request_id != one(other).request_id
    assert one(record()).request_id == one(dict(reversed(record().items()))).request_id


def test_a_converse_stream_is_put_together():
    events = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "h"}}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "o"}}},
        {"contentBlockStart": {"contentBlockIndex": 1,
                               "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a"'}}}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": ": 1}"}}}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 9, "cacheReadInputTokens": 4},
                      "metrics": {"latencyMs": 100}}},
    ]  # fmt: skip
    call = one(record(said=events))
    assert call.response["content"] == "ho"
    assert call.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert (call.input_tokens, call.cached_tokens, call.output_tokens) == (7, 4, 9)
    assert (call.finish_reason, call.latency_s) == ("tool_calls", 0.1)


def test_chunks_of_an_anthropic_model():
    chunks = [
        {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 8}}},
        {"type": "content_block_delta", "index": 0, "delta": {"text": "ho"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
         "usage": {"output_tokens": 2}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics":
         {"inputTokenCount": 8, "invocationLatency": 500, "firstByteLatency": 100}},
    ]  # fmt: skip
    call = one(record({"anthropic_version": "x", "max_tokens": 1, "messages":
                       [{"role": "user", "content": "hi"}]}, chunks))  # fmt: skip
    assert (call.response["content"], call.input_tokens, call.output_tokens) == ("ho", 8, 2)
    assert (call.latency_s, call.ttft_s, call.messages[0]["content"]) == (0.5, 0.1, "hi")


@pytest.mark.parametrize(
    ("asked", "said", "text", "output_tokens", "finish"),
    [
        ({"inputText": "hi"}, {"inputTextTokenCount": 1, "results": [
            {"tokenCount": 7, "outputText": "ho", "completionReason": "FINISH"}]}, "ho", 7, "stop"),
        ({"prompt": "hi"}, {"generation": "ho", "prompt_token_count": 1,
                            "generation_token_count": 7, "stop_reason": "length"},
         "ho", 7, "length"),
        ({"prompt": "hi"}, [{"generation": "h"}, {"generation": "o", "stop_reason": "stop",
                                                  "generation_token_count": 7}], "ho", 7, "stop"),
        ({"message": "hi"}, {"text": "ho", "finish_reason": "COMPLETE"}, "ho", 2, "stop"),
        ({"prompt": "hi"}, {"outputs": [{"text": "ho", "stop_reason": "stop"}]}, "ho", 2, "stop"),
    ],
)  # fmt: skip
def test_text_models(asked: Any, said: Any, text: str, output_tokens: int, finish: str):
    call = one(record(asked, said))
    assert call.messages == [{"role": "user", "content": "hi"}]
    assert (call.response["content"], call.output_tokens, call.finish_reason) == (
        text, output_tokens, finish,
    )  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [{**SAID, "stopReason": "guardrail_intervened"},
     {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "no"}],
      "amazon-bedrock-guardrailAction": "INTERVENED"}],
)  # fmt: skip
def test_a_guardrail_that_intervened_is_a_verdict(said: Any):
    call = one(record(said=said))
    assert (call.status, call.error_type, call.http_status) == ("ok", None, None)
    assert call.guardrail_verdicts == [{"guardrail": "bedrock", "action": "blocked"}]
    assert call.finish_reason == "content_filter"


def test_errors_missing_answers_bodies_in_s3_and_embeddings():
    assert one(record(said=None, errorCode="ThrottlingException")).error_type == (
        "ThrottlingException"
    )
    assert one(record(said={})).error_type == "no_completion"
    silent = record(input={"inputTokenCount": 1}, output={"outputTokenCount": 8})
    call = one(silent)
    assert (call.status, call.input_tokens, call.output_tokens) == ("ok", 1, 8)
    stored = record(output={"outputBodyS3Path": "s3://b/k", "outputTokenCount": 4})
    assert (one(stored).status, one(stored).output_tokens) == ("ok", 4)
    vector = one(record({"inputText": "hi"}, {"embedding": [0.1], "inputTextTokenCount": 2}))
    assert (vector.operation, vector.status, vector.input_tokens) == ("embeddings", "ok", 2)
    for wrong in ([], {"a": 1}):
        with pytest.raises(UnreadableError):
            list(bedrock.records(wrong))


def test_a_recorded_converse_exchange_has_its_model_in_the_address():
    uri = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-v1%3A0/converse"
    item = {"request": {"uri": uri, "body": json.dumps(ASKED)},
            "response": {"body": {"string": json.dumps(SAID)}, "status": {"code": 200}},
            }  # fmt: skip
    cassette = {"interactions": [item]}
    assert formats.recognise(cassette) is bedrock
    call = one(cassette)
    assert (call.model, call.input_tokens) == ("us.amazon.nova-v1:0", 3)
    assert [message["content"] for message in call.messages] == ["Be brief.", "hi"]


def test_bodies_may_be_json_text_and_chunks_wrapped():
    event = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "ho"}}}
    raw = base64.b64encode(json.dumps(event).encode()).decode()
    call = one(record(json.dumps(ASKED), [{"chunk": event}, {"chunk": {"bytes": raw}}]))
    assert (call.messages[1]["content"], call.response["content"]) == ("hi", "hoho")


@pytest.mark.parametrize("key", ["events", "logEvents"])
def test_cloudwatch_exports_wrap_the_records_as_text(key: str):
    messages = [{"timestamp": 1, "message": json.dumps(each)} for each in (record(), {"a": 1})]
    value = {"logGroup": "g", key: messages}
    assert formats.recognise(value) is bedrock
    call, dead = bedrock.records(value)
    assert isinstance(call, Call)
    assert isinstance(dead, Dead)
    assert call.request_id == one(record()).request_id
    assert one({"timestamp": 1, "message": json.dumps(record())}).request_id == call.request_id


def test_events_of_a_stream_may_be_bare():
    events = [{"role": "assistant"}, {"contentBlockIndex": 0, "delta": {"text": "h"}},
              {"contentBlockIndex": 0, "delta": {"text": "o"}}, {"stopReason": "end_turn"},
              {"usage": {"inputTokens": 4, "outputTokens": 2}, "metrics": {"latencyMs": 9}},
              ]  # fmt: skip
    call = one(record({"prompt": "hi"}, events))
    assert (call.response["content"], call.finish_reason, call.latency_s) == ("ho", "stop", 0.009)
    assert (call.input_tokens, call.output_tokens, call.messages[0]["content"]) == (4, 2, "hi")
