"""Vertex AI, Gemini batches, Azure: what the clouds log of a call."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.logs import formats
from tasks.logs.formats import azure, gemini_batch, vertex
from tasks.logs.shapes.records import Call, Dead, Other, UnreadableError
from tests.tasks.logs.builders import make_run, query, write_lines
from tests.tasks.logs.formats.test_anthropic import MESSAGE
from tests.tasks.logs.formats.test_gemini import REQUEST, RESPONSE

LOGGED = {
    "endpoint": "projects/p/locations/europe-west4/endpoints/7", "deployed_model_id": "7",
    "logging_time": "2026-02-03 04:05:06.700000 UTC", "request_id": 9_007_199_254_740_993,
    "request_payload": [], "response_payload": [],
    "model": "publishers/google/models/gemini-2.5-flash-001", "model_version": "001",
    "api_method": "generateContent", "full_request": REQUEST, "full_response": RESPONSE,
    "metadata": {"request_latency": 1250.5}, "otel_log": {"body": "weather in Oslo"},
}  # fmt: skip
PREDICTED = {"status": "", "processed_time": "2026-02-03T04:05:06.826+00:00", "request": REQUEST,
             "response": RESPONSE}  # fmt: skip
KEYED = {"key": "order-1", "response": RESPONSE}
INLINE = {"name": "batches/1", "response": {"inlinedResponses": {"inlinedResponses": [
    {"response": RESPONSE, "metadata": {"key": "a"}},
    {"error": {"code": 13, "message": "internal"}, "metadata": {"key": "b"}}]}}}  # fmt: skip
COUNTS = {
    "TimeGenerated": "2026-02-03T04:05:06.789Z", "CorrelationId": "c-1", "SequenceNumber": 0,
    "ModelName": "gpt-4.1-2025-04-14", "DeploymentName": "chat", "PromptTokens": 30,
    "CompletionTokens": 12, "TotalTokens": 42, "IsStreamCompletion": True, "Region": "West Europe",
    "OperationName": "Microsoft.ApiManagement/GatewayLlmLogs", "Type": "ApiManagementGatewayLlmLog",
}  # fmt: skip
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Oslo?"}]
GATEWAY = {
    "time": "2026-02-03T04:05:06.5Z", "category": "GatewayLogs", "correlationId": "c-1",
    "durationMs": 812, "isRequestSuccess": True,
    "resourceId": "/SUBSCRIPTIONS/1/PROVIDERS/MICROSOFT.APIMANAGEMENT/SERVICE/G",
    "properties": {"apiId": "openai", "backendResponseCode": 200, "userId": "u-7",
                   "backendUrl": "https://x.openai.azure.com/openai/deployments/chat/chat/completions"},
}  # fmt: skip
TEXTLESS = {
    "time": "2026-02-03T04:05:07Z", "category": "RequestResponse", "correlationId": "r-1",
    "operationName": "ChatCompletions_Create", "durationMs": 640, "resultSignature": "200",
    "resourceId": "/SUBSCRIPTIONS/1/PROVIDERS/MICROSOFT.COGNITIVESERVICES/ACCOUNTS/A",
    "properties": json.dumps({
        "apiName": "Azure OpenAI API version 2024-10-21", "requestTime": 639_056_883_060_000_000,
        "requestLength": 120, "responseLength": 900, "objectId": "o-1", "streamType": "Streaming",
        "modelDeploymentName": "chat", "modelName": "gpt-4.1", "modelVersion": "2025-04-14"}),
}  # fmt: skip


def calls(module: Any, *values: Any) -> list[Any]:
    if module is not azure:
        return [record for value in values for record in module.records(value)]
    reader = azure.reader()
    found = [record for n, value in enumerate(values) for record, _ in reader.feed(value, n)]
    return [*found, *(record for record, _ in reader.end())]


def one(module: Any, *values: Any) -> Call:
    assert formats.recognise(list(values)) is module
    (found,) = calls(module, *values)
    assert isinstance(found, Call)
    return found


def test_a_row_of_vertex_logging():
    call = one(vertex, LOGGED)
    assert (call.request_id, call.tags["request_id"]) == ("abc", "9007199254740993")
    assert call.started_at == datetime(2026, 2, 3, 4, 5, 6, 700_000)  # noqa: DTZ001
    assert (call.provider, call.model) == ("gcp.vertex_ai", "gemini-2.5-flash")
    assert (call.latency_s, call.input_tokens, call.output_tokens) == (1.2505, 23, 10)
    assert (call.reasoning_tokens, call.finish_reason, call.status) == (6, "stop", "ok")
    assert call.messages[0] == {"role": "system", "content": "Be brief."}
    assert call.response["content"] == "Rain today."
    assert call.tags["endpoint"] == LOGGED["endpoint"]
    assert "weather in Oslo" not in str(call.tags)  # its texts are in the call, and masked there


@pytest.mark.parametrize("text", [lambda body: json.dumps(body), lambda body: body])
def test_bodies_of_vertex_may_be_text_or_lists_of_pieces(text: Any):
    half = json.dumps(REQUEST)
    row = {**LOGGED, "full_request": None, "full_response": None,
           "request_payload": [half[:40], half[40:]],
           "response_payload": text([json.dumps(RESPONSE)])}  # fmt: skip
    call = one(vertex, row)
    assert (call.messages[1]["content"], call.response["content"]) == ("Weather in Oslo?",
                                                                       "Rain today.")  # fmt: skip
    chunks = [{**RESPONSE, "usageMetadata": None}, RESPONSE]
    call = one(vertex, {**LOGGED, "full_request": text(REQUEST), "full_response": text(chunks)})
    assert (call.response["content"], call.input_tokens) == ("Rain today." * 2, 23)


def test_vertex_logs_claude_too_and_may_keep_no_answer():
    asked = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 5,
             "messages": [{"role": "user", "content": "q"}]}  # fmt: skip
    row = {**LOGGED, "api_method": "rawPredict", "full_request": None, "full_response": None,
           "request_payload": [json.dumps(asked)], "response_payload": [json.dumps(MESSAGE)],
           "model": "publishers/anthropic/models/claude-x"}  # fmt: skip
    call = one(vertex, row)
    assert (call.request_id, call.provider, call.model) == ("msg_1", "gcp.vertex_ai", "claude-x-1")
    bare = one(vertex, {**row, "response_payload": []})
    assert (bare.status, bare.model, bare.messages[0]["content"]) == ("ok", "claude-x", "q")
    assert calls(vertex, {**LOGGED, "api_method": "countTokens"}) == [Other()]


def test_a_line_of_a_vertex_batch():
    call = one(vertex, PREDICTED)
    assert (call.request_id, call.provider, call.output_tokens) == ("abc", "gcp.vertex_ai", 10)
    labelled = {**REQUEST, "labels": {"prompt_name": "weather", "team": "t"}}
    call = one(vertex, {**PREDICTED, "request": json.dumps(labelled)})
    assert (call.prompt_name, call.tags["team"]) == ("weather", "t")
    failed = one(vertex, {**PREDICTED, "response": {}, "status": "Bad Request: no such model"})
    assert (failed.status, failed.error_type) == ("error", "Bad Request: no such model")


def test_keyed_batches_of_gemini():
    call = one(gemini_batch, KEYED)
    assert (call.request_id, call.tags["batch_key"], call.input_tokens) == ("abc", "order-1", 23)
    failed = one(gemini_batch, {"key": "order-2", "error": {"code": 400, "message": "bad"}})
    assert (failed.status, failed.error_type) == ("error", "400")
    assert failed.request_id is not None
    assert failed.request_id.startswith("order-2:")
    asked = {"key": "order-1", "request": REQUEST}
    assert formats.recognise(asked) is gemini_batch
    assert calls(gemini_batch, asked) == [Other()]
    both = one(gemini_batch, {**KEYED, "request": REQUEST})
    assert both.messages[1]["content"] == "Weather in Oslo?"
    http = {"key": "k", "request": {"method": "GET"}, "response": {"status": 200}}
    error = {"key": "a", "error": {"message": "x"}, "host": "h"}
    for foreign in (http, error, {"key": "a", "error": 5}):
        assert not gemini_batch.matches(foreign)


def test_inline_answers_of_a_batch():
    assert formats.recognise(INLINE) is gemini_batch
    good, bad = calls(gemini_batch, INLINE)
    assert (good.request_id, good.tags["batch_key"]) == ("abc", "a")
    assert (bad.error_type, bad.tags["batch_key"]) == ("13", "b")
    inside = INLINE["response"]["inlinedResponses"]["inlinedResponses"]  # type: ignore[index]
    whole = {"dest": {"inlinedResponses": [*inside, 5]}, "model": "models/gemini-x"}
    *_, named, odd = calls(gemini_batch, whole)
    assert (named.model, isinstance(odd, Dead)) == ("gemini-x", True)


def test_rows_of_apim_are_one_call_whatever_their_order():
    asked = {"CorrelationId": "c-1", "SequenceNumber": 1, "RequestMessages": json.dumps(ASKED),
             "TimeGenerated": COUNTS["TimeGenerated"]}  # fmt: skip
    said = {"CorrelationId": "c-1", "SequenceNumber": 2,
            "ResponseMessages": [{"role": "assistant", "content": "Rain."}]}  # fmt: skip
    other = {**COUNTS, "CorrelationId": "c-2", "PromptTokens": -1}
    call, second = calls(azure, said, COUNTS, other, asked)
    assert (call.request_id, call.model, call.provider) == (
        "c-1", "gpt-4.1-2025-04-14", "azure.ai.openai",
    )  # fmt: skip
    assert call.started_at == datetime(2026, 2, 3, 4, 5, 6, 789_000)  # noqa: DTZ001
    assert (call.input_tokens, call.output_tokens, call.total_tokens) == (30, 12, 42)
    assert (call.messages, call.response["content"]) == (ASKED, "Rain.")
    assert call.tags["deployment"] == "chat"
    # messages are logged only where that was switched on
    assert (second.request_id, second.status, second.response) == ("c-2", "ok", None)
    assert (second.input_tokens, second.output_tokens) == (30, 12)  # the total tells it


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_rows_of_a_file_are_joined_whatever_its_kind(name: str, tmp_path: Path):
    said = {"ResponseMessages": '[{"role": "assistant", "content": "Rain."}]', "SequenceNumber": 2}
    asked = {"RequestMessages": json.dumps(ASKED), "SequenceNumber": 1}
    rows = [{"TimeGenerated": COUNTS["TimeGenerated"], **more, "CorrelationId": own_id}
            for more in (said, COUNTS, asked) for own_id in ("c-1", "c-2")]  # fmt: skip
    path = tmp_path / name
    if name.endswith("csv"):
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    elif name.endswith("jsonl"):
        write_lines(path, *rows)
    else:
        path.write_text(json.dumps(rows, indent=1))
    run = make_run(tmp_path, path)
    ingest(run)
    assert query(
        run, "SELECT request_id, input_tokens, messages->1->>'content', response->>'content', "
        "format FROM landing ORDER BY 1",
    ) == [(own_id, 30, "Oslo?", "Rain.", "azure") for own_id in ("c-1", "c-2")]  # fmt: skip


def test_a_call_whose_rows_cannot_be_held_is_dead_and_the_others_are_read():
    broken = {**COUNTS, "CorrelationId": "c-0", "PromptTokens": "many"}
    first, second = calls(azure, broken, COUNTS)
    assert isinstance(first, Dead)
    assert "input_tokens" in first.error
    assert second.request_id == "c-1"


def test_messages_of_more_than_32_kilobytes_go_on_in_the_next_row():
    long, rest = "a" * 32_700, "b" * 100
    rows = [{"CorrelationId": "c-1", "SequenceNumber": number, "PromptTokens": None, name: cell}
            for number, (name, cell) in enumerate([
                ("RequestMessages", [{"role": "user", "content": long}]),
                ("RequestMessages", [{"role": "user", "content": rest}]),
                ("RequestMessages", [{"role": "user", "content": "another"}]),
                ("ResponseMessages", '[{"role": "assistant", "conte'),
                ("ResponseMessages", 'nt": "Rain."}]')], 1)]  # fmt: skip
    call = one(azure, *reversed(rows), COUNTS)
    assert [message["content"] for message in call.messages] == [long + rest, "another"]
    assert call.response["content"] == "Rain."


def test_the_gateways_own_row_tells_time_and_status_of_a_call():
    (call,) = calls(azure, GATEWAY, COUNTS)
    assert (call.latency_s, call.http_status, call.user) == (0.812, 200, "u-7")
    assert (call.input_tokens, call.tags["api"]) == (30, "openai")
    assert calls(azure, GATEWAY) == [Other()]
    # the cells of a CSV line beyond its columns stand under no name
    assert azure.matches({**GATEWAY, None: ["x"]})
    answer = {"object": "chat.completion", "id": "chatcmpl-1", "model": "gpt-4.1", "choices": [
        {"message": {"content": "Rain."}, "finish_reason": "stop"}]}  # fmt: skip
    bodies = {"backendRequestBody": json.dumps({"messages": ASKED}),
              "backendResponseBody": json.dumps(answer)}  # fmt: skip
    full = {**GATEWAY, "properties": {**GATEWAY["properties"], **bodies}}  # type: ignore[dict-item]
    call = one(azure, full)
    assert (call.request_id, call.tags["response_id"]) == ("c-1", "chatcmpl-1")
    assert (call.provider, call.latency_s, call.response["content"]) == (
        "azure.ai.openai", 0.812, "Rain.",
    )  # fmt: skip
    (merged,) = calls(azure, COUNTS, full)
    assert (merged.input_tokens, merged.request_id) == (30, "c-1")
    assert (merged.response["content"], merged.messages) == ("Rain.", ASKED)


def test_a_question_that_azures_filter_stopped_is_a_verdict():
    error = {"error": {"code": "content_filter", "innererror": {"content_filter_result": {
        "hate": {"filtered": True}, "violence": {"filtered": False},
        "custom_blocklists": [{"filtered": True, "id": "b"}]}}}}  # fmt: skip
    properties = {**GATEWAY["properties"], "backendResponseCode": 400,  # type: ignore[dict-item]
                  "backendResponseBody": json.dumps(error),
                  "backendRequestBody": json.dumps({"messages": ASKED})}  # fmt: skip
    call = one(azure, {**GATEWAY, "properties": properties})
    assert (call.status, call.error_type, call.finish_reason) == ("ok", None, "content_filter")
    assert call.guardrail_verdicts == [
        {"guardrail": "content_filter", "action": "blocked", "stage": "input",
         "categories": ["hate", "custom_blocklists"]},
    ]  # fmt: skip


def test_request_response_logs_are_calls_without_texts():
    call = one(azure, TEXTLESS)
    assert (call.request_id, call.model, call.user) == ("r-1", "gpt-4.1", "o-1")
    assert call.started_at == datetime(2026, 2, 3, 4, 5, 6)  # noqa: DTZ001
    assert (call.latency_s, call.http_status, call.status) == (0.64, 200, "ok")
    assert (call.response, call.input_tokens, call.provider) == (None, None, "azure.ai.openai")
    slow = one(azure, {**TEXTLESS, "resultSignature": "429", "durationMs": -1})
    assert (slow.status, slow.error_type, slow.latency_s) == ("error", "429", None)
    assert calls(azure, {**TEXTLESS, "operationName": "Create_Thread"}) == [Other()]


def test_the_same_rows_as_columns_and_in_an_envelope():
    columns = {"TimeGenerated [UTC]": "2/3/2026, 4:05:06.000 AM", "Category": "RequestResponse",
               "ResourceProvider": "MICROSOFT.COGNITIVESERVICES", "CorrelationId": "r-1",
               "OperationName": "Embeddings_Create", "DurationMs": "640", "ResultSignature": "200",
               "properties_s": '{"modelName": "text-embedding-3-small"}'}  # fmt: skip
    call = one(azure, columns)
    assert (call.operation, call.latency_s, call.model) == (
        "embeddings", 0.64, "text-embedding-3-small",
    )  # fmt: skip
    assert call.started_at == datetime(2026, 2, 3, 4, 5, 6)  # noqa: DTZ001
    inside = {key[:1].lower() + key[1:]: value for key, value in COUNTS.items() if key != "Type"}
    record = {"time": "2026-02-03T04:05:06Z", "category": "GatewayLlmLogs", "properties": inside,
              "correlationId": "c-1"}  # fmt: skip
    table = {"name": "PrimaryResult", "columns": [{"name": key} for key in COUNTS],
             "rows": [list(COUNTS.values())]}  # fmt: skip
    assert one(azure, {"tables": [table]}).input_tokens == 30
    other, call = calls(
        azure, {"records": [record, {**record, "category": "Audit", "properties": {}}]}
    )
    assert other == Other()
    assert (call.request_id, call.input_tokens) == ("c-1", 30)


def test_a_call_is_handed_on_once_a_thousand_others_began_after_it():
    reader = azure.reader()
    early = []
    for number in range(1_002):
        row = {**COUNTS, "CorrelationId": f"c-{number}"}
        early += [(record.request_id, place) for record, place in reader.feed(row, number)]
    assert early == [("c-0", 0), ("c-1", 1)]
    assert reader.oldest == 2
    assert len(list(reader.end())) == 1_000
    assert reader.oldest is None


@pytest.mark.parametrize("module", [vertex, gemini_batch, azure])
@pytest.mark.parametrize("value", [5, [], {}, {"key": "a"}, {"records": [5]}])
def test_what_is_no_record_is_unreadable(module: Any, value: Any):
    assert not module.matches(value)
    with pytest.raises(UnreadableError):
        calls(module, value)
