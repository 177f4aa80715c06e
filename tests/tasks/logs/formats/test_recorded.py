"""Recorded exchanges: cassettes of several APIs, binary event streams, streams an event a line."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.logs import formats
from tasks.logs.formats import anthropic, bedrock, gemini, openai_chat, openai_responses
from tasks.logs.formats.aws_events import events_of
from tasks.logs.formats.vendors import cohere, interactions, ollama
from tasks.logs.shapes.answers import CUT_OFF
from tasks.logs.shapes.records import Call, Other
from tests.tasks.logs.builders import make_run, query, write_lines
from tests.tasks.logs.formats.test_anthropic import MESSAGE
from tests.tasks.logs.formats.test_openai_responses import RESPONSE
from tests.tasks.logs.formats.test_streaming import calls

BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/"


def one(format: Any, value: Any) -> Call:
    assert formats.recognise(value) is format
    (found,) = format.records(value)
    assert isinstance(found, Call)
    return found


def recorded(uri: str, request: Any, response: Any, status: int = 200, **headers: Any) -> Any:
    body = response if isinstance(response, str) else json.dumps(response)
    kept = {"body": {"string": body}, "status": {"code": status}, "headers": headers}
    return {"request": {"method": "POST", "uri": uri, "body": json.dumps(request)},
            "response": kept}  # fmt: skip


def cassette(*items: Any) -> dict[str, Any]:
    return {"version": 1, "interactions": list(items)}


def frame(kind: str, payload: Any, header: str = ":event-type") -> bytes:
    """A message of application/vnd.amazon.eventstream."""
    headers = b""
    for name, value in ((header, kind), (":content-type", "application/json")):
        text = value.encode()
        headers += bytes([len(name)]) + name.encode() + b"\x07" + len(text).to_bytes(2) + text
    headers += b"\x05:flag\x00"
    body = json.dumps(payload).encode()
    prelude = (16 + len(headers) + len(body)).to_bytes(4) + len(headers).to_bytes(4)
    message = prelude + zlib.crc32(prelude).to_bytes(4) + headers + body
    return message + zlib.crc32(message).to_bytes(4)


def converse(*texts: str, stop: str = "end_turn") -> list[dict[str, Any]]:
    pieces = [{"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}}
              for text in texts]  # fmt: skip
    return [
        {"messageStart": {"role": "assistant"}}, *pieces,
        {"contentBlockStop": {"contentBlockIndex": 0}}, {"messageStop": {"stopReason": stop}},
        {"metadata": {"usage": {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11},
                      "metrics": {"latencyMs": 450}}},
    ]  # fmt: skip


def test_streams_of_converse_an_event_a_line_are_a_call_each(tmp_path: Path):
    lines = [*converse("Hel", "lo"), *converse("Bye", stop="max_tokens"), *converse("Cu")[:2]]
    run = make_run(tmp_path, write_lines(tmp_path / "events.jsonl", *lines))
    ingest(run)
    rows = query(run, "SELECT response->>'content', input_tokens, output_tokens, finish_reason, "
                      "error_type, latency_s, provider FROM landing ORDER BY ALL")  # fmt: skip
    assert rows == [
        ("Bye", 9, 2, "length", None, 0.45, "aws.bedrock"),
        ("Cu", None, None, None, CUT_OFF, None, "aws.bedrock"),
        ("Hello", 9, 2, "stop", None, 0.45, "aws.bedrock"),
    ]
    assert query(run, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_an_error_within_a_stream_of_converse_is_its_end():
    (call,) = calls(bedrock, *converse("Hel")[:2], {"throttlingException": {"message": "too many"}})
    assert (call.error_type, call.response) == (
        "throttlingException",
        {"role": "assistant", "content": "Hel"},
    )


def test_metadata_of_anybody_is_no_event():
    for value in ({"metadata": {"name": "x"}}, {"messageStart": "now"}, {"metadata": {}}):
        assert formats.recognise(value) is None
    vectors = {"predictions": [{"embeddings": {"values": [0.1]}}], "metadata": {"usage": {}}}
    (call,) = calls(gemini, vectors)
    assert call.operation == "embeddings"


def _start(own_id: str) -> dict[str, Any]:
    message = {**MESSAGE, "id": own_id, "content": [], "stop_reason": None}
    return {"type": "message_start", "message": message}


_TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
_END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 7}}  # fmt: skip


def test_a_message_with_its_reason_is_whole_and_one_that_starts_twice_is_one():
    (call,) = calls(anthropic, _start("a"), _start("a"), _TEXT, _END)
    assert (call.response["content"], call.status, call.output_tokens) == ("Hi", "ok", 7)
    cut, whole = calls(anthropic, _start("a"), _TEXT, _start("b"), _TEXT, _END)
    assert {cut.request_id: cut.error_type, whole.request_id: whole.error_type} == {
        "a": CUT_OFF,
        "b": None,
    }


def test_pings_do_not_take_the_end_of_a_stream(tmp_path: Path):
    lines: list[Any] = [_start("a"), *[{"type": "ping"}] * 4, _TEXT, {"type": "content_block_stop",
             "index": 0}, {"type": "message_stop"}, *converse("Yes")]  # fmt: skip
    run = make_run(tmp_path, write_lines(tmp_path / "events.jsonl", *lines))
    ingest(run)
    rows = query(run, "SELECT response->>'content', error_type FROM landing ORDER BY ALL")
    assert rows == [("Hi", None), ("Yes", None)]


def test_what_marks_a_fallback_is_beside_the_text():
    blocks = [{"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}},
              {"type": "text", "text": "Yes."}]  # fmt: skip
    call = one(anthropic, {**MESSAGE, "content": blocks})
    assert call.response["content"] == "Yes."
    assert call.tags["fallback"] == [blocks[0]]


def test_hosted_tools_of_the_responses_api_are_no_calls_to_us():
    shell = {"type": "shell_call", "call_id": "s", "action": {"commands": ["ls"]}}
    items = [shell, {"type": "shell_call_output", "call_id": "s", "output": [{"stdout": "a"}]},
             {"type": "mcp_approval_request", "id": "q", "name": "send", "arguments": "{}"},
             {"type": "reasoning", "summary": [], "content": []}, *RESPONSE["output"]]  # fmt: skip
    call = one(openai_responses, {**RESPONSE, "output": items})
    assert isinstance(call.response["content"], str)
    names = [each["function"]["name"] for each in call.response["server_tool_calls"]]
    assert names == ["shell", "send"]
    assert call.response["server_tool_results"] == [
        {"tool_call_id": "s", "content": [{"stdout": "a"}]}
    ]
    assert "shell" not in str(call.tool_calls)
    assert not (call.response.get("reasoning") or "x").isspace()
    alone = one(openai_responses, {**RESPONSE, "output": [shell]})
    assert [each["function"]["name"] for each in alone.tool_calls] == ["shell"]


def test_a_search_for_tools_that_the_client_does_is_a_call_to_it():
    item = {"type": "tool_search_call", "call_id": "t", "execution": "client",
            "arguments": {"goal": "weather"}}  # fmt: skip
    call = one(openai_responses, {**RESPONSE, "output": [item]})
    (asked,) = call.tool_calls
    assert asked["function"] == {"name": "tool_search", "arguments": '{"goal":"weather"}'}


def test_reasoning_is_its_summary_where_its_content_is_empty():
    item = {"type": "reasoning", "content": [], "summary": [{"type": "summary_text", "text": "hm"}]}
    call = one(openai_responses, {**RESPONSE, "output": [item, *RESPONSE["output"]]})
    assert call.response["reasoning"].startswith("hm")


def test_an_end_without_output_has_what_came_before():
    done = {**RESPONSE, "id": "r", "output": []}
    message = {"type": "message", "content": [{"type": "output_text", "text": "Sun."}]}
    (call,) = calls(
        openai_responses,
        {"type": "response.created", "response": {"id": "r", "object": "response", "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": done},
    )
    assert (call.response["content"], call.status, call.input_tokens) == (
        "Sun.", "ok", RESPONSE["usage"]["input_tokens"],
    )  # fmt: skip


def test_a_spoken_answer_of_the_realtime_api_is_its_transcript():
    said = {"type": "message", "role": "assistant",
            "content": [{"type": "output_audio", "transcript": "Good day."}]}  # fmt: skip
    done = {"object": "realtime.response", "id": "resp_1", "status": "completed", "output": [said],
            "usage": {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10}}  # fmt: skip
    (call,) = calls(
        openai_responses,
        {"type": "response.created", "response": {**done, "status": "in_progress", "output": [],
                                                  "usage": None}},
        {"type": "response.done", "event_id": "e", "response": done},
    )  # fmt: skip
    assert (call.response["content"], call.input_tokens, call.output_tokens) == (
        "Good day.", 20, 10,
    )  # fmt: skip
    assert (call.request_id, call.status) == ("resp_1", "ok")


def test_built_in_tools_of_gemini_are_beside_the_text():
    parts = [{"thoughtSignature": "x",
              "toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "args": {"q": "oslo"}}},
             {"toolResponse": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "response": {"n": 1}}},
             {"text": "Rain."}, {"thoughtSignature": "y"}]  # fmt: skip
    call = one(gemini, {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})
    assert (call.response["content"], call.tool_calls) == ("Rain.", None)
    (asked,) = call.response["server_tool_calls"]
    assert asked["function"] == {"name": "google_search_web", "arguments": '{"q":"oslo"}'}
    assert call.response["server_tool_results"] == [{"tool_call_id": "t", "content": {"n": 1}}]


def test_vectors_of_vertex_have_the_tokens_of_every_text():
    items = [{"embeddings": {"values": [0.1], "statistics": {"token_count": count}}}
             for count in (5, 6)]  # fmt: skip
    call = one(gemini, {"predictions": items, "metadata": {"billableCharacterCount": 3}})
    assert (call.operation, call.input_tokens, call.status) == ("embeddings", 11, "ok")


def test_annotations_and_pictures_leave_the_text_of_an_interaction_a_text():
    url = {"type": "url_citation", "url": "u"}
    events = [
        {"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress",
                                                              "model": "g"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        *({"event_type": "step.delta", "index": 0, "delta": delta} for delta in (
            {"type": "text", "text": "Ra"}, {"type": "text", "text": "in."},
            {"type": "text_annotation_delta", "annotations": [url]})),
        {"event_type": "interaction.completed", "interaction": {"id": "i", "status": "completed"}},
    ]  # fmt: skip
    (call,) = calls(interactions, *events)
    assert (call.response["content"], call.response["citations"]) == ("Rain.", [url])
    picture = {"event_type": "step.delta", "index": 0,
               "delta": {"type": "image", "data": "AA", "mime_type": "image/png"}}  # fmt: skip
    (call,) = calls(interactions, *events[:4], picture, events[-1])
    assert call.response["content"] == [{"type": "text", "text": "Rain."}, picture["delta"]]


def test_a_binary_event_stream_of_bedrock_is_read(tmp_path: Path):
    data = b"".join(frame(kind, {"p": "ab", **body})
                    for event in converse("Hel", "lo") for kind, body in event.items())  # fmt: skip
    asked = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    item = recorded(f"{BEDROCK}amazon.nova-micro-v1%3A0/converse-stream", asked,
                    base64.b64encode(data).decode())  # fmt: skip
    call = one(bedrock, cassette(item))
    assert (call.response["content"], call.input_tokens, call.finish_reason) == ("Hello", 9, "stop")
    assert (call.model, call.messages) == (
        "amazon.nova-micro-v1:0", [{"role": "user", "content": "Hi"}],
    )  # fmt: skip
    chunks = [{"outputText": "A", "index": 0},
              {"outputText": "B", "completionReason": "FINISH", "amazon-bedrock-invocationMetrics":
               {"inputTokenCount": 5, "outputTokenCount": 2}}]  # fmt: skip
    data = b"".join(frame("chunk", {"bytes": base64.b64encode(json.dumps(each).encode()).decode()})
                    for each in chunks)  # fmt: skip
    item = recorded(f"{BEDROCK}amazon.titan/invoke-with-response-stream", {"inputText": "q"},
                    base64.b64encode(data).decode())  # fmt: skip
    call = one(bedrock, cassette(item))
    assert (call.response["content"], call.finish_reason) == ("AB", "stop")
    path = tmp_path / "recorded.yaml"
    path.write_text(f"version: 1\ninteractions:\n- request: {{method: POST, uri: '{BEDROCK}m/conver"
                    f"se-stream', body: '{{}}'}}\n  response:\n    status: {{code: 200}}\n    body:"
                    f" {{string: !!binary {base64.b64encode(frame('messageStop', {})).decode()}}}"
                    "\n")  # fmt: skip
    run = make_run(tmp_path, path)
    ingest(run)
    assert query(run, "SELECT error_type, provider FROM landing") == [
        ("no_completion", "aws.bedrock")
    ]


def test_what_is_no_event_stream_stays_a_text():
    good = frame("messageStop", {"stopReason": "end_turn"})
    assert events_of(base64.b64encode(good + good[:20]).decode()) == [
        {"messageStop": {"stopReason": "end_turn"}}
    ]
    failed = frame("throttlingException", {"message": "m"}, ":exception-type")
    assert events_of(base64.b64encode(failed).decode()) == [
        {"throttlingException": {"message": "m"}}
    ]
    bad = bytearray(good)
    bad[12 + 1] = 0xFF
    for data in (b"", b"abc", b"\0" * 40, bytes(bad), good[:8] + b"\0\0\0\0" + good[12:]):
        assert not isinstance(events_of(base64.b64encode(data).decode()), str)
    assert events_of("AAA no base64") is None


@pytest.mark.parametrize(
    ("model", "request_body", "response", "expected"),
    [
        ("amazon.titan-text", {"inputText": "q"},
         {"inputTextTokenCount": 5, "results": [{"tokenCount": 2, "outputText": "A.",
                                                 "completionReason": "FINISH"}]},
         ("A.", "text_completion", 5, 2, "ok")),
        ("meta.llama3-8b", {"prompt": "q"},
         {"generation": "A.", "prompt_token_count": 3, "generation_token_count": 2,
          "stop_reason": "stop"}, ("A.", "text_completion", 3, 2, "ok")),
        ("mistral.mistral-7b", {"prompt": "q"},
         {"outputs": [{"text": "A.", "stop_reason": "stop"}]},
         ("A.", "text_completion", 41, 42, "ok")),
        ("cohere.command-r", {"message": "q"},
         {"text": "A.", "finish_reason": "COMPLETE", "chat_history": []},
         ("A.", "chat", 41, 42, "ok")),
    ],
)  # fmt: skip
def test_invoke_model_is_read_by_the_shape_of_its_model(
    model: str, request_body: Any, response: Any, expected: tuple[Any, ...]
):
    headers = {"X-Amzn-Bedrock-Input-Token-Count": ["41"], "X-Amzn-Bedrock-Invocation-Latency":
               "250", "x-amzn-bedrock-output-token-count": ["42"]}  # fmt: skip
    item = recorded(f"{BEDROCK}{model}/invoke", request_body, response, **headers)
    found = cassette(item)
    format = formats.recognise(found)
    (call,) = format.records(found)  # type: ignore[union-attr]
    assert isinstance(call, Call)
    assert (call.response["content"], call.operation, call.input_tokens, call.output_tokens,
            call.status) == expected  # fmt: skip
    assert (call.provider, call.model, call.latency_s) == ("aws.bedrock", model, 0.25)


def test_a_refused_invocation_is_an_error():
    item = recorded(f"{BEDROCK}amazon.titan/invoke", {"inputText": "q"}, {"message": "no"}, 400)
    call = one(bedrock, cassette(item))
    assert (call.status, call.http_status, call.messages) == (
        "error", 400, [{"role": "user", "content": "q"}],
    )  # fmt: skip


def test_exchanges_with_no_model_are_none_and_no_letters(tmp_path: Path):
    thread = {"id": "msg", "object": "thread.message", "content": [{"type": "text"}]}
    items = [
        recorded("https://api.openai.com/v1/threads/t/messages", {"role": "user"}, thread),
        recorded("https://api.cohere.com/v2/rerank", {"query": "q", "model": "r"}, {"results": []}),
        recorded("https://telemetry.dev/batch/", {"messages": [{"role": "user", "content": "q"}]},
                 {"status": "Ok"}),
    ]  # fmt: skip
    completion = {"object": "chat.completion", "id": "c", "choices": [{"message": {
        "content": "x"}}]}  # fmt: skip
    spoken = recorded("https://api.openai.com/v1/chat/completions", {"messages": []}, completion)
    found = list(openai_chat.records(cassette(*items, spoken)))
    assert [type(each) for each in found] == [Other, Other, Other, Call]
    path = write_lines(tmp_path / "recorded.json", cassette(*items))
    with pytest.raises(UsageError, match="a recording of HTTP"):
        ingest(make_run(tmp_path, path))


CHAT = {"model": "llama3", "created_at": "2026-03-01T10:00:02Z", "message": {"role": "assistant",
        "content": "Hi", "thinking": "hm"}, "done": True, "done_reason": "stop",
        "total_duration": 2_000_000_000, "prompt_eval_count": 4, "eval_count": 3}  # fmt: skip


def test_an_answer_of_ollama():
    call = one(ollama, CHAT)
    assert (call.response["content"], call.response["reasoning"]) == ("Hi", "hm")
    assert (call.input_tokens, call.output_tokens, call.latency_s) == (4, 3, 2.0)
    assert (call.provider, call.model, call.finish_reason) == ("ollama", "llama3", "stop")
    assert call.started_at is not None
    assert call.started_at.isoformat().startswith("2026-03-01T10:00:00")
    asked = {"function": {"name": "w", "arguments": {"city": "Oslo"}}}
    call = one(ollama, {**CHAT, "message": {"role": "assistant", "content": "",
                                            "tool_calls": [asked]}})  # fmt: skip
    assert call.tool_calls == [{"id": None, "type": "function", "function": {
        "name": "w", "arguments": '{"city":"Oslo"}'}}]  # fmt: skip


def test_streams_of_ollama_are_joined_by_model():
    def piece(model: str, text: str) -> dict[str, Any]:
        return {"model": model, "created_at": "2026-03-01T10:00:00Z", "response": text,
                "done": False}  # fmt: skip

    def end(model: str) -> dict[str, Any]:
        return {**piece(model, ""), "done": True, "done_reason": "length", "eval_count": 2}

    first, other, second, cut = calls(
        ollama, piece("a", "He"), piece("b", "Y"), piece("a", "y"), end("a"), piece("b", "o"),
        end("b"), piece("a", "Bye"), end("a"), piece("a", "Cut"),
    )  # fmt: skip
    texts = [call.response["content"] for call in (first, other, second, cut)]
    assert texts == ["Hey", "Yo", "Bye", "Cut"]
    assert (first.operation, first.finish_reason, first.output_tokens) == (
        "text_completion", "length", 2,
    )  # fmt: skip
    assert (second.status, cut.error_type) == ("ok", CUT_OFF)


def test_a_recorded_stream_of_ollama_and_of_cohere_is_json_lines():
    lines = [{**CHAT, "done": False, "message": {"role": "assistant", "content": text}}
             for text in ("A", "B")]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in [*lines, CHAT])
    asked = {"model": "llama3", "system": "Be brief.", "prompt": "Hi", "stream": True}
    call = one(ollama, cassette(recorded("http://localhost:11434/api/chat", asked, text)))
    assert (call.response["content"], call.provider) == ("ABHi", "ollama")
    assert call.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    vectors = {"model": "e", "embeddings": [[0.1]], "total_duration": 5, "prompt_eval_count": 6}
    call = one(ollama, cassette(recorded("http://localhost:11434/api/embed",
                                         {"model": "e", "input": "x"}, vectors)))  # fmt: skip
    assert (call.operation, call.input_tokens, call.status) == ("embeddings", 6, "ok")
    events = [{"is_finished": False, "event_type": "text-generation", "text": "So"},
              {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE",
               "response": {"text": "So.", "generation_id": "g", "meta": {
                   "tokens": {"input_tokens": 7, "output_tokens": 2}}}}]  # fmt: skip
    text = "\n".join(json.dumps(event) for event in events)
    call = one(cohere, cassette(recorded("https://api.cohere.com/v1/chat", {"message": "q"}, text)))
    assert (call.response["content"], call.input_tokens, call.status) == ("So.", 7, "ok")


def test_a_ping_in_an_envelope_is_no_letter(tmp_path: Path):
    events = [_start("a"), {"type": "ping"}, _TEXT, _END, {"type": "message_stop"}]
    lines = [{"log": json.dumps(event) + "\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"}
             for event in events]  # fmt: skip
    run = make_run(tmp_path, write_lines(tmp_path / "docker.log", *lines))
    ingest(run)
    assert query(run, "SELECT response->>'content', status FROM landing") == [("Hi", "ok")]
    assert query(run, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_what_workers_ai_answers_is_read_out_of_its_result(tmp_path: Path):
    value = {"result": {"response": "Hi.", "usage": {"prompt_tokens": 6, "completion_tokens": 2}},
             "success": True, "errors": [], "messages": []}  # fmt: skip
    run = make_run(tmp_path, write_lines(tmp_path / "answer.json", value))
    ingest(run)
    rows = query(run, "SELECT response->>'content', input_tokens, output_tokens FROM landing")
    assert rows == [("Hi.", 6, 2)]


def test_a_batch_that_an_sdk_of_langfuse_sent_is_its_generations(tmp_path: Path):
    def event(kind: str, **body: Any) -> dict[str, Any]:
        return {"id": "e", "type": kind, "timestamp": "2026-01-01T00:00:00Z", "body": body}

    batch = {"batch": [
        event("trace-create", id="t", timestamp="2026-01-01T00:00:00Z", name="support",
              userId="ann", sessionId="s-1",
              input={"messages": [{"role": "user", "content": "q"}]}),
        event("generation-create", id="g", traceId="t", name="llm", model="m",
              startTime="2026-01-01T00:00:00Z", input=[{"role": "user", "content": "q"}]),
        event("generation-update", id="g", endTime="2026-01-01T00:00:02Z",
              output={"role": "assistant", "content": "Yes."},
              usageDetails={"input": 10, "output": 4, "total": 14}),
    ], "metadata": {"batch_size": 3, "sdk_name": "python"}}  # fmt: skip
    run = make_run(tmp_path, write_lines(tmp_path / "batch.json", batch))
    ingest(run)
    rows = query(run, "SELECT format, response->>'content', input_tokens, output_tokens, "
                      "latency_s, session_id, model FROM landing")  # fmt: skip
    assert rows == [("langfuse", "Yes.", 10, 4, 2.0, "s-1", "m")]


def test_the_first_apis_of_anthropic_and_of_cohere():
    said = {"type": "completion", "id": "compl_1", "completion": " Yes.", "stop_reason":
            "stop_sequence", "model": "claude-2.1"}  # fmt: skip
    asked = {"model": "claude-2", "prompt": "\n\nHuman: q\n\nAssistant:", "max_tokens_to_sample": 9}
    address = "https://api.anthropic.com/v1/complete"
    pieces = [{**said, "completion": " Y", "stop_reason": None}, {**said, "completion": "es."}]
    stream = "".join(f"event: completion\ndata: {json.dumps(each)}\n\n" for each in pieces)
    for body in (said, stream):
        call = one(anthropic, cassette(recorded(address, asked, body)))
        assert (call.response["content"], call.finish_reason, call.operation) == (
            " Yes.", "stop", "text_completion",
        )  # fmt: skip
    refused = recorded("https://api.cohere.com/v1/chat", {"message": "q"}, {"message": "no"}, 404)
    call = one(cohere, cassette(refused))
    assert (call.status, call.http_status) == ("error", 404)
    completion = {"object": "chat.completion", "id": "c", "choices": [{"message": {
        "content": "x"}}]}  # fmt: skip
    elsewhere = recorded("https://api.writer.com/v1/chat", {"messages": []}, completion)
    assert one(openai_chat, cassette(elsewhere)).response["content"] == "x"


def test_embeddings_with_a_total_alone_have_it_as_input():
    body = {"object": "list", "model": "v", "data": [{"object": "embedding", "embedding": [0.1]}],
            "usage": {"total_tokens": 8}}  # fmt: skip
    assert one(openai_chat, body).input_tokens == 8
