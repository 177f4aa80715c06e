"""Files that no format recognises, among others and alone; what is told of those that were read."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.run import Run
from tests.tasks.logs.builders import append, call, line, make_run, query, write_lines


def archive(path: Path, content: str = "x") -> Path:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        packed.writestr("calls.jsonl", content)
    path.write_bytes(held.getvalue())
    return path


def ingesting(run: Run) -> Run:
    return replace(run, request=replace(run.request, stages=("ingest",)))


def test_an_unread_file_among_others_is_named_with_its_reason(tmp_path: Path):
    path = archive(tmp_path / "a.zip")
    write_lines(tmp_path / "b.jsonl", call(1))
    told = ingest(ingesting(make_run(tmp_path, tmp_path))).notes["unrecognised"]
    assert told == {
        "num": 1, "num_new": 1, "next": "flywheel ingest --format NAME",
        "files": [{"file": str(path), "reason":
                   "a ZIP archive: unpack it and name what is inside; in it calls.jsonl"}],
    }  # fmt: skip


def test_it_is_named_again_by_a_run_that_does_not_read_it_again(tmp_path: Path):
    archive(tmp_path / "a.zip")
    write_lines(tmp_path / "b.jsonl", call(1))
    ingest(make_run(tmp_path, tmp_path))
    archive(tmp_path / "c.zip", "y")
    told = ingest(make_run(tmp_path, tmp_path, run_id="run-2")).notes["unrecognised"]
    assert (told["num"], told["num_new"]) == (2, 1)
    assert [Path(each["file"]).name for each in told["files"]] == ["c.zip", "a.zip"]
    assert told["next"] == "flywheel run --format NAME"


def test_of_very_many_unread_files_the_first_are_named(tmp_path: Path):
    for number in range(25):
        archive(tmp_path / f"{number:02d}.zip", str(number))
    write_lines(tmp_path / "b.jsonl", call(1))
    told = ingest(make_run(tmp_path, tmp_path)).notes["unrecognised"]
    assert (told["num"], len(told["files"])) == (25, 20)


def test_when_none_is_recognised_the_error_names_each_with_its_reason(tmp_path: Path):
    archive(tmp_path / "a.zip")
    (tmp_path / "README.md").write_text("# Logs")
    (tmp_path / "empty.log").touch()
    with pytest.raises(UsageError) as caught:
        ingest(ingesting(make_run(tmp_path, tmp_path)))
    error = caught.value
    assert error.received == (
        "README.md (a Markdown document); a.zip (a ZIP archive: unpack it and name what is inside; "
        "in it calls.jsonl)"
    )
    assert error.next == "flywheel ingest --format NAME to force one"
    told: Any = error.counts["unrecognised"]
    assert (told["num"], len(told["files"])) == (2, 2)


def test_a_file_that_a_forced_format_read_since_is_not_named(tmp_path: Path):
    odd = write_lines(tmp_path / "a.txt", b"some text", b"more of it")
    good = write_lines(tmp_path / "b.jsonl", call(1))
    assert ingest(make_run(tmp_path, odd, good)).notes["unrecognised"]["num"] == 1
    ingest(make_run(tmp_path, odd, run_id="run-2", log_format="canonical"))
    assert "unrecognised" not in ingest(make_run(tmp_path, odd, good, run_id="run-3")).notes


def test_a_letter_that_was_erased_leaves_the_name(tmp_path: Path):
    archive(tmp_path / "a.zip")
    write_lines(tmp_path / "b.jsonl", call(1))
    run = make_run(tmp_path, tmp_path)
    ingest(run)
    query(run, "DELETE FROM dead_letters")
    (each,) = ingest(make_run(tmp_path, tmp_path, run_id="r2")).notes["unrecognised"]["files"]
    assert each["reason"] == "its dead letter is gone"


def test_the_letter_of_a_refused_file_is_taken_back_when_it_grows(tmp_path: Path):
    write_lines(tmp_path / "b.jsonl", call(1))
    path = write_lines(tmp_path / "a.jsonl", {"order_no": 1})
    letters = "SELECT line_number FROM dead_letters WHERE state = 'dead'"
    ingest(make_run(tmp_path, tmp_path))
    append(path, line({"order_no": 2}) + b"\n")
    run = make_run(tmp_path, tmp_path, run_id="run-2")
    ingest(run)
    assert query(run, letters) == [(None,)]  # still refused: one file, one letter
    append(path, line(call(2)) + b"\n")
    run = make_run(tmp_path, tmp_path, run_id="run-3")
    ingest(run)
    assert query(run, f"{letters} ORDER BY 1") == [(1,), (2,)]
    assert query(run, "SELECT request_id FROM landing ORDER BY 1") == [("r1",), ("r2",)]


def test_a_file_that_is_read_and_holds_no_call_is_named_with_its_format(tmp_path: Path):
    asked = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
             "body": {"model": "m", "messages": []}}  # fmt: skip
    path = write_lines(tmp_path / "input.jsonl", asked)
    write_lines(tmp_path / "b.jsonl", call(1))
    told = ingest(make_run(tmp_path, tmp_path)).notes["without_calls"]
    assert told == {"num": 1, "files": {str(path): "openai_batch"}}


def _tool(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "t1", "content": content, **more}


def test_sessions_and_tools_of_the_new_calls_are_counted(tmp_path: Path):
    asks = {"role": "user", "content": 'say "role":"tool" or "role":"assistant"'}
    used = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    uses = {"role": "assistant", "content": None, "tool_calls": [used]}
    first, second = [asks, uses, _tool("Error: no such file")], [asks, uses, _tool('{"error": 7}')]
    calls = [
        call(1, session_id="s", messages=[asks], response=uses),
        call(2, session_id="s", messages=first, response=uses),
        # what was told before is not told again
        call(3, session_id="s", messages=first + second + [_tool("errors: 0"), asks]),
        call(4, session_id="t", messages=[_tool('{"error": null}'), _tool("x", is_error=True)]),
        call(5),
    ]
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *calls))
    assert ingest(run).notes["sessions"] == {
        "num_sessions": 2, "median_calls": 2.0, "max_calls": 3,
        "num_tool_calls": 2, "num_tool_results": 5, "num_tool_errors": 3,
    }  # fmt: skip
    again = write_lines(tmp_path / "b.jsonl", call(6), json.dumps(calls[0]).encode())
    assert "sessions" not in ingest(make_run(tmp_path, again, run_id="run-2")).notes


@pytest.mark.parametrize("failed", [True, False])
def test_what_anthropic_and_bedrock_say_of_a_tool_that_failed_is_kept(tmp_path: Path, failed: bool):
    block = {"type": "tool_result", "tool_use_id": "t", "content": "7", "is_error": failed}
    asked = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": [block]}]}
    answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
              "content": [{"type": "text", "text": "so"}], "stop_reason": "end_turn"}  # fmt: skip
    result = {"toolResult": {"toolUseId": "t", "content": [{"text": "7"}],
                             "status": "error" if failed else "success"}}  # fmt: skip
    converse = {
        "schemaType": "ModelInvocationLog", "operation": "Converse", "modelId": "m",
        "requestId": "b1", "timestamp": "2026-11-01T10:00:00Z",
        "input": {"inputBodyJson": {"messages": [{"role": "user", "content": [result]}]}},
        "output": {"outputBodyJson": {"output": {"message": {
            "role": "assistant", "content": [{"text": "so"}]}}, "stopReason": "end_turn"}},
    }  # fmt: skip
    write_lines(tmp_path / "a.jsonl", {"request": asked, "response": answer})
    write_lines(tmp_path / "b.jsonl", converse)
    run = make_run(tmp_path, tmp_path)
    told = ingest(run).notes["sessions"]
    assert (told["num_tool_results"], told["num_tool_errors"]) == (2, 2 * failed)
    (kept, also) = query(run, "SELECT messages->-1->>'is_error' FROM landing")
    assert kept == also == ("true" if failed else None,)


def test_keys_of_our_own_records_that_mean_nothing_are_counted_file_by_file(tmp_path: Path):
    odd = write_lines(tmp_path / "a.jsonl", call(1, foo=1), call(2, foo=2, bar=3), call(3))
    write_lines(tmp_path / "b.jsonl", call(4))
    assert ingest(make_run(tmp_path, tmp_path)).notes["unread_keys"] == {
        str(odd): {"foo": 2, "bar": 1}
    }
    for number in range(25):
        write_lines(tmp_path / f"c{number}.jsonl", call(100 + number, foo=1))
    notes = ingest(make_run(tmp_path, tmp_path, run_id="run-2")).notes
    assert (len(notes["unread_keys"]), notes["num_files_with_unread_keys"]) == (20, 25)
