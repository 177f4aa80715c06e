"""Lines that are read once more because their file has grown: each call counts once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.redact.task import redact
from tasks.validate.task import validate
from tests.tasks.logs.builders import append, line, make_run, query, write_lines


def of_converse() -> list[Any]:
    """Events of Bedrock's ConverseStream: nothing in them names the answer."""
    text = [{"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": part}}}
            for part in ("Hel", "lo")]  # fmt: skip
    return [{"messageStart": {"role": "assistant"}}, *text,
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
                          "metrics": {"latencyMs": 200}}}]  # fmt: skip


def of_ollama() -> list[Any]:
    head = {"model": "llama3.2", "created_at": "2026-11-01T10:00:00.5Z"}
    said = [{**head, "message": {"role": "assistant", "content": part}, "done": False}
            for part in ("Hel", "lo")]  # fmt: skip
    last = {**head, "message": {"role": "assistant", "content": ""}, "done": True,
            "done_reason": "stop", "total_duration": 10**9, "prompt_eval_count": 3,
            "eval_count": 2}  # fmt: skip
    return [*said, last]


def of_gemini() -> list[Any]:
    def piece(text: str, **more: Any) -> dict[str, Any]:
        content = {"role": "model", "parts": [{"text": text}]}
        return {"candidates": [{"content": content, "index": 0, **more}],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2,
                                  "totalTokenCount": 5},
                "modelVersion": "gemini-2.0-flash"}  # fmt: skip

    return [piece("Hel"), piece("lo", finishReason="STOP")]


STREAMS = {"converse": of_converse(), "ollama": of_ollama(), "gemini": of_gemini()}
OF_CALLS = "SELECT response->>'content', status, error_type, output_tokens FROM "


def whole(text: str = "Hello") -> tuple[Any, ...]:
    return (text, "ok", None, 2)


@pytest.mark.parametrize(
    ("name", "seen"), [("converse", 1), ("converse", 5), ("ollama", 2), ("gemini", 1)]
)
def test_a_stream_without_an_id_that_goes_on_is_one_call(name: str, seen: int, tmp_path: Path):
    lines = [line(value) for value in STREAMS[name]]
    path = write_lines(tmp_path / "a.jsonl", *lines[:seen])
    ingest(make_run(tmp_path, path))
    append(path, b"\n".join(lines[seen:]) + b"\n")
    run = make_run(tmp_path, path, run_id="run-2")
    receipt = ingest(run)
    assert query(run, OF_CALLS + "landing") == [whole()]
    assert query(run, "SELECT sources FROM landing") == [([f"{path}:1"],)]
    sums = "SELECT sum(rows_out), sum(output_tokens) FROM sources"
    assert query(run, sums) == [(1, 2)]
    assert receipt.rows_in == receipt.rows_out + receipt.duplicates


def test_a_stream_that_is_read_many_times_while_it_grows(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", end=b"")
    again = [{**of_converse()[0]}, {"contentBlockDelta": {"contentBlockIndex": 0,
                                                         "delta": {"text": "Bye"}}}]  # fmt: skip
    for number, value in enumerate([*of_converse(), *again, *of_converse()[3:]]):
        append(path, line(value) + b"\n")
        run = make_run(tmp_path, path, run_id=f"run-{number}")
        ingest(run)
    assert query(run, OF_CALLS + "landing ORDER BY 1") == [whole("Bye"), whole()]
    assert query(run, "SELECT sum(rows_out), sum(output_tokens) FROM sources") == [(2, 4)]


def test_what_was_held_back_before_its_stream_ended_is_held_once(tmp_path: Path):
    """Chunks do not tell what was asked, so their call waits in quarantine."""
    lines = [line(value) for value in of_ollama()]
    path = write_lines(tmp_path / "a.jsonl", *lines[:1])
    night(make_run(tmp_path, path))
    append(path, b"\n".join(lines[1:]) + b"\n")
    run = make_run(tmp_path, path, run_id="run-2")
    night(run)
    held = "SELECT \"row\"->'response'->>'content' FROM quarantine WHERE state = 'held'"
    assert query(run, held) == [("Hello",)]
    # the beginning alone, met once more elsewhere, is known
    copy = write_lines(tmp_path / "copy.jsonl", *lines[:1])
    assert ingest(make_run(tmp_path, copy, run_id="run-3")).duplicates == 1


def said(uuid: str, parent: str | None, *blocks: Any, **usage: int) -> dict[str, Any]:
    """A line of a session of Claude Code."""
    message = {"id": "msg_1", "role": "assistant", "model": "m-1", "type": "message",
               "content": list(blocks), "usage": {"input_tokens": 9, **usage}}  # fmt: skip
    return {"type": "assistant", "uuid": uuid, "parentUuid": parent, "sessionId": "s",
            "timestamp": "2026-11-01T10:00:00Z", "version": "2.0", "message": message}  # fmt: skip


def test_an_admitted_answer_of_which_a_session_had_only_the_first_block_is_replaced(tmp_path: Path):
    asked = {"type": "user", "uuid": "u", "parentUuid": None, "sessionId": "s", "version": "2.0",
             "timestamp": "2026-11-01T10:00:00Z",
             "message": {"role": "user", "content": "hi"}}  # fmt: skip
    first = said("a", "u", {"type": "text", "text": "Hel"}, output_tokens=1)
    path = write_lines(tmp_path / "a.jsonl", asked, first)
    night(make_run(tmp_path, path))
    append(path, line(said("b", "a", {"type": "text", "text": "lo"}, output_tokens=2)) + b"\n")
    run = make_run(tmp_path, path, run_id="run-2")
    night(run)
    rows = query(run, "SELECT request_id, response->>'content', output_tokens FROM requests")
    assert rows == [("msg_1", "Hello", 2)]
    assert query(run, "SELECT count(*) FROM quarantine WHERE state = 'held'") == [(0,)]


def test_a_call_whose_trace_is_told_by_later_lines_is_one_call(tmp_path: Path):
    def span(own: str, parent: str | None, kind: str, **more: Any) -> dict[str, Any]:
        return {"name": own, "context.trace_id": "t", "context.span_id": own, "parent_id": parent,
                "span_kind": kind, "start_time": "2026-11-01T10:00:00Z",
                "end_time": "2026-11-01T10:00:01Z", **more}  # fmt: skip

    message = {"message.role": "user", "message.content": "hi"}
    inner = span("b", "a", "LLM", **{"attributes.llm.model_name": "m-1",
                                    "attributes.llm.input_messages": [message]})  # fmt: skip
    outer = span("a", None, "LLM", **{"attributes.llm.output_messages": [
        {"message.role": "assistant", "message.content": "Hello"}]})  # fmt: skip
    path = write_lines(tmp_path / "a.jsonl", inner)
    ingest(make_run(tmp_path, path))
    append(path, line(outer) + b"\n")
    run = make_run(tmp_path, path, run_id="run-2")
    ingest(run)
    rows = query(run, "SELECT request_id, response->>'content' FROM landing")
    assert rows == [("t:b", "Hello")]


def test_a_named_stream_of_which_more_was_seen_twice_is_one_call(tmp_path: Path):
    def chunk(text: str, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        return json.dumps({"id": "c1", "object": "chat.completion.chunk", "created": 1793527200,
                           "model": "m-1", "choices": [choice]}).encode() + b"\n"  # fmt: skip

    path = tmp_path / "a.jsonl"
    for number, each in enumerate((chunk("Hel"), chunk("l"), chunk("o", "stop"))):
        with path.open("ab") as file:
            file.write(each)
        run = make_run(tmp_path, path, run_id=f"run-{number}")
        ingest(run)
    assert query(run, "SELECT response->>'content', status FROM landing") == [("Hello", "ok")]


def test_another_stream_at_the_same_place_of_a_rewritten_file_is_another_call(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", *of_ollama()[:1])
    ingest(make_run(tmp_path, path))
    other = {**of_ollama()[0], "message": {"role": "assistant", "content": "Other"}}
    write_lines(path, other, other)
    run = make_run(tmp_path, path, run_id="run-2")
    assert ingest(run).notes["changed_files"] == [str(path)]
    append(path, line(of_ollama()[2]) + b"\n")
    run = make_run(tmp_path, path, run_id="run-3")
    ingest(run)
    rows = query(run, "SELECT response->>'content', error_type FROM landing ORDER BY 1")
    assert rows == [("Hel", "stream_cut"), ("OtherOther", None)]


def night(run: Any) -> None:
    for stage in (ingest, validate, redact):
        stage(run)
