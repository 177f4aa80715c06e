"""Answers that are logged a chunk or an event a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.logs.formats import anthropic, gemini, openai_chat, openai_responses
from tasks.logs.reading.line_values import At
from tasks.logs.shapes.answers import CUT_OFF
from tasks.logs.shapes.records import Call, Facts, Other
from tests.tasks.logs.builders import make_run, query, write_lines


def chunk(own_id: str = "c1", text: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    choice = {"index": more.pop("index", 0), "delta": delta,
              "finish_reason": more.pop("finish", None)}  # fmt: skip
    return {"id": own_id, "object": "chat.completion.chunk", "created": 1790000000, "model": "m",
            "choices": [choice], **more}  # fmt: skip


def counts(own_id: str = "c1", **usage: int) -> dict[str, Any]:
    return {**chunk(own_id), "choices": [], "usage": usage}


def read(format: Any, *values: Any, keys: tuple[str | None, ...] = ()) -> list[Any]:
    reader = format.reader()
    found = []
    for number, value in enumerate(values):
        key = keys[number] if keys else None
        place = At(number, number, str(number), b"", None if key is None else Facts(key=key))
        found += list(reader.feed(value, place))
    found += list(reader.end())
    assert reader.oldest is None
    return [(record, place.number) for record, place in found if not isinstance(record, Other)]


def calls(format: Any, *values: Any, keys: tuple[str | None, ...] = ()) -> list[Call]:
    return [record for record, _ in read(format, *values, keys=keys)]


def test_interleaved_completions_of_chat_are_one_call_each_where_they_began():
    found = read(
        openai_chat,
        chunk("c1", "Hel"), chunk("c2", "B"), chunk("c1", "lo"), chunk("c2", "ye", finish="stop"),
        chunk("c1", finish="stop"), counts("c2", prompt_tokens=3, completion_tokens=2),
        counts("c1", prompt_tokens=5, completion_tokens=1, total_tokens=6),
    )  # fmt: skip
    (bye, second), (hello, first) = found
    assert (first, second) == (0, 1)
    assert (hello.request_id, hello.response["content"], hello.status) == ("c1", "Hello", "ok")
    assert (hello.input_tokens, hello.output_tokens, hello.finish_reason) == (5, 1, "stop")
    assert (bye.response["content"], bye.input_tokens, bye.output_tokens) == ("Bye", 3, 2)


def test_several_choices_interleave_and_usage_in_every_chunk_counts_once():
    usage = {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}
    (call,) = calls(
        openai_chat,
        chunk(text="a", index=0, usage=usage), chunk(text="x", index=1, usage=usage),
        chunk(text="b", index=0, finish="stop", usage=usage),
        chunk(text="y", index=1, finish="length", usage=usage),
    )  # fmt: skip
    assert (call.response["content"], call.tags["other_choices"][0]["content"]) == ("ab", "xy")
    assert (call.input_tokens, call.output_tokens) == (4, 6)


def test_a_stream_whose_end_is_not_there_is_a_call_that_was_cut_off():
    (call,) = calls(openai_chat, chunk(text="Hel"), chunk(text="lo"))
    assert (call.response["content"], call.status, call.error_type) == ("Hello", "error", CUT_OFF)


def test_whole_answers_between_chunks_and_the_empty_first_chunk_of_azure():
    whole = {
        "id": "w",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        ],
    }
    empty = {"id": "", "object": "", "model": "", "choices": [], "prompt_filter_results": []}
    found = calls(openai_chat, empty, chunk("c1", "a"), whole, chunk("c1", finish="stop"))
    assert [(call.request_id, call.response["content"]) for call in found] == [
        ("w", "x"), ("c1", "a"),
    ]  # fmt: skip


def test_a_text_completion_ends_with_a_chunk_that_looks_whole():
    def piece(text: str, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "finish_reason": finish}
        return {"id": "t1", "object": "text_completion", "model": "m", "choices": [choice]}

    (call,) = calls(openai_chat, piece("on"), piece("ce", "length"))
    assert (call.response["content"], call.finish_reason, call.status) == ("once", "length", "ok")
    (alone,) = calls(openai_chat, piece("all", "stop"))
    assert (alone.response["content"], alone.operation) == ("all", alone.operation)


def events(own_id: str, *texts: str, ends: bool = True) -> list[dict[str, Any]]:
    message = {"id": own_id, "type": "message", "role": "assistant", "model": "c", "content": [],
               "usage": {"input_tokens": 7, "output_tokens": 1}}  # fmt: skip
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    for text in texts:
        delta = {"type": "text_delta", "text": text}
        found.append({"type": "content_block_delta", "index": 0, "delta": delta})
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 9}}  # fmt: skip
    tail = [{"type": "content_block_stop", "index": 0}, last, {"type": "message_stop"}]
    return found + (tail if ends else [])


def test_events_of_messages_belong_to_the_message_that_began_last():
    one, two = calls(anthropic, *events("m1", "Hel", "lo"), *events("m2", "Bye"))
    assert (one.request_id, one.response["content"], one.status) == ("m1", "Hello", "ok")
    assert (one.input_tokens, one.output_tokens, one.finish_reason) == (7, 9, "stop")
    assert (two.request_id, two.response["content"]) == ("m2", "Bye")


def test_messages_interleave_where_an_envelope_gives_them_an_id():
    first, second = events("m1", "Hel", "lo"), events("m2", "By", "e")
    values = [event for pair in zip(first, second, strict=True) for event in pair]
    found = calls(anthropic, *values, keys=("a", "b") * len(first))
    assert [(call.request_id, call.response["content"]) for call in found] == [
        ("m1", "Hello"), ("m2", "Bye"),
    ]  # fmt: skip


def test_an_error_in_the_middle_of_a_stream_is_its_end():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}
    (call,) = calls(anthropic, *events("m1", "Hel", ends=False), error)
    assert (call.response["content"], call.status) == ("Hel", "error")
    assert call.error_type == "overloaded_error"
    (alone,) = calls(anthropic, error)
    assert alone.error_type == "overloaded_error"


def response_events(own_id: str) -> Iterator[dict[str, Any]]:
    response = {"id": own_id, "object": "response", "model": "m", "output": [], "status": "x"}
    yield {"type": "response.created", "response": response, "sequence_number": 0}
    item = {"type": "message", "role": "assistant", "content": []}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    for text in ("Hel", "lo"):
        yield {"type": "response.output_text.delta", "output_index": 0, "delta": text}
    said = {**item, "content": [{"type": "output_text", "text": "Hello"}]}
    yield {"type": "response.completed", "response": {
        **response, "status": "completed", "output": [said],
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}}  # fmt: skip


def test_events_of_a_response_and_one_that_is_cut_off():
    whole = list(response_events("r1"))
    call, cut = calls(openai_responses, *whole, *list(response_events("r2"))[:-1])
    assert (call.request_id, call.response["content"], call.status) == ("r1", "Hello", "ok")
    assert (call.input_tokens, call.output_tokens) == (3, 2)
    assert (cut.request_id, cut.response["content"], cut.error_type) == ("r2", "Hello", CUT_OFF)


def test_chunks_of_gemini_until_the_one_with_a_reason():
    def piece(text: str, own_id: str | None = "g1", **more: Any) -> dict[str, Any]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, **more}
        counted = {"promptTokenCount": 2, "candidatesTokenCount": 3, "totalTokenCount": 5}
        return {"candidates": [candidate], "usageMetadata": counted, "responseId": own_id}

    found = calls(
        gemini, piece("Hel"), piece("lo", finishReason="STOP"), piece("x", None),
        piece("y", None, finishReason="STOP"), piece("alone", "g3", finishReason="STOP"),
    )  # fmt: skip
    assert [call.response["content"] for call in found] == ["Hello", "xy", "alone"]
    assert {(call.status, call.output_tokens) for call in found} == {("ok", 3)}


@pytest.mark.parametrize("kind", ["lines", "event stream", "wrapped"])
def test_a_file_of_chunks_through_the_store(kind: str, tmp_path: Path):
    values = [chunk("c1", "Hel"), chunk("c1", "lo"), chunk("c2", "B"), chunk("c1", finish="stop"),
              chunk("c2", "ye", finish="stop")]  # fmt: skip
    carry = {
        "lines": json.dumps,
        "event stream": lambda value: f"event: x\ndata: {json.dumps(value)}\n",
        "wrapped": lambda value: json.dumps({"ts": "2026-11-01T10:00:00Z", "chunk": value}),
    }[kind]
    lines = [carry(value).encode() for value in values]
    run = make_run(tmp_path, write_lines(tmp_path / "a.log", *lines, b"data: [DONE]"))
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.dead_letters) == (2, 0)
    rows = query(run, "SELECT response->>'content', status, sources[1] FROM landing ORDER BY 1")
    assert [row[:2] for row in rows] == [("Bye", "ok"), ("Hello", "ok")]
    assert rows[1][2].endswith("a.log:1" if kind != "event stream" else "a.log:2")


@pytest.mark.parametrize("seen", [1, 2, 4])
def test_a_stream_of_which_little_was_seen_is_one_call_too(seen: int, tmp_path: Path):
    lines = [json.dumps(event).encode() for event in events("m1", "Hel", "lo")]
    path = write_lines(tmp_path / "a.jsonl", *lines[:seen])
    ingest(make_run(tmp_path, path))
    again = make_run(tmp_path, write_lines(path, *lines), run_id="run-2")
    ingest(again)
    rows = query(again, "SELECT request_id, response->>'content', status FROM landing")
    assert rows == [("m1", "Hello", "ok")]


def test_a_stream_that_goes_on_when_the_file_grows_is_one_call(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", chunk("c0", "x", finish="stop"), counts("c0"),
                       chunk("c1", "Hel"))  # fmt: skip
    run = make_run(tmp_path, path)
    assert ingest(run).rows_out == 2
    cut = query(run, "SELECT status, error_type FROM landing WHERE request_id = 'c1'")
    assert cut == [("error", CUT_OFF)]
    with path.open("ab") as file:
        file.write(b"\n".join(json.dumps(v).encode() for v in (
            chunk("c1", "lo", finish="stop"), counts("c1", prompt_tokens=1, completion_tokens=2),
        )) + b"\n")  # fmt: skip
    again = make_run(tmp_path, path, run_id="run-2")
    ingest(again)
    rows = query(again, "SELECT request_id, response->>'content', status, error_type, "
                        "output_tokens FROM landing ORDER BY 1")  # fmt: skip
    assert rows == [("c0", "x", "ok", None, None), ("c1", "Hello", "ok", None, 2)]
