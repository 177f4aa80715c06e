"""What carries records: what is taken off, what stays a letter, what is counted and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.logs.reading.line_text import Inner, json_in
from tasks.logs.shapes.records import Facts
from tests.tasks.logs.builders import call, make_run, query, write_lines

TIME = "2026-11-01T10:00:00Z"
REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def completion(own_id: str = "c1") -> dict[str, Any]:
    message = {"role": "assistant", "content": "yo"}
    return {"id": own_id, "object": "chat.completion", "model": "m", "created": 1790000000,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"a": 1}', None),
        (b"plain text", None),
        (b'{"a": 1},', Inner(b'{"a": 1}')),
        (b'\x1e{"a": 1}', Inner(b'{"a": 1}')),
        (b"]", Inner(b"")),
        (b'data: {"a": 1}', Inner(b'{"a": 1}')),
        (b"data: [DONE]", Inner(b"")),
        (b": keep-alive", Inner(b"")),
        (b"event: ping", Inner(b"")),
        (b"2026-11-01T10:00:00.1Z stderr F text",
         Inner(b"text", Facts("2026-11-01T10:00:00.1Z", "stderr"))),
        (b'2026-11-01T10:00:00.1Z stdout P {"a"',
         Inner(b'{"a"', Facts("2026-11-01T10:00:00.1Z", "stdout"), is_part=True)),
        (b'2026-11-01 10:00:00,123 INFO x: {"a": 1}',
         Inner(b'{"a": 1}', Facts("2026-11-01 10:00:00.123"))),
        (b'INFO x: {"a": 1} and more', None),
    ],
)  # fmt: skip
def test_what_stands_around_the_json_of_a_line(line: bytes, expected: Inner | None):
    assert json_in(line) == expected


def test_an_envelopes_time_is_the_calls_where_that_has_none(tmp_path: Path):
    timed = {"log": json.dumps(call(1)), "stream": "stdout", "time": "2026-11-02T00:00:00Z"}
    bare = {"log": json.dumps(call(2, started_at=...)), "stream": "stderr",
            "time": "2026-11-02T00:00:01Z"}  # fmt: skip
    run = make_run(tmp_path, write_lines(tmp_path / "a.log", timed, bare))
    ingest(run)
    rows = query(run, "SELECT started_at::VARCHAR, tags->>'log_stream', tags->>'logged_at' "
                      "FROM landing ORDER BY request_id")  # fmt: skip
    assert rows == [("2026-11-01 10:00:01", "stdout", "2026-11-02T00:00:00Z"),
                    ("2026-11-02 00:00:01", "stderr", "2026-11-02T00:00:01Z")]  # fmt: skip


def test_a_call_in_a_containers_log_is_the_one_in_the_applications_own(tmp_path: Path):
    write_lines(tmp_path / "app.jsonl", call(1))
    carried = {"log": json.dumps(call(1)) + "\n", "stream": "stdout", "time": "2026-11-02T00:00Z"}
    write_lines(tmp_path / "container.log", carried)
    receipt = ingest(make_run(tmp_path, tmp_path / "*.*"))
    assert (receipt.rows_out, receipt.duplicates) == (1, 1)


def test_calls_behind_sixty_lines_of_start_up_are_found(tmp_path: Path):
    noise = [f"INFO part {n} is up".encode() for n in range(200)]
    run = make_run(tmp_path, write_lines(tmp_path / "app.log", *noise, call(1), *noise, call(2)))
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.dead_letters) == (2, 0)
    assert receipt.notes["other_spans"] == 400


def test_events_that_are_no_calls_are_counted_in_an_envelope_as_without_one(tmp_path: Path):
    def event(name: str, **about: Any) -> dict[str, Any]:
        return {"uuid": f"u-{name}", "event": name, "distinct_id": "ann", "timestamp": TIME,
                "properties": about}  # fmt: skip

    events = [event("$pageview", **{"$current_url": "https://example.com/"}),
              event("$ai_generation", **{"$ai_trace_id": "t", "$ai_model": "m", "$ai_input": "hi",
                                         "$ai_output_choices": "yo"}),
              event("$identify"), event("plan bought", price=3)]  # fmt: skip
    carried = [
        {"log": f"{json.dumps(each)}\n", "stream": "stdout", "time": TIME} for each in events
    ]
    wrapped = [{"ts": TIME, "event_body": each} for each in events]
    for name, lines in (("bare", events), ("docker", carried), ("any", wrapped)):
        run = make_run(tmp_path / name, write_lines(tmp_path / f"{name}.log", *lines))
        receipt = ingest(run)
        counts = (receipt.rows_out, receipt.dead_letters, receipt.notes["other_spans"])
        assert counts == (1, 0, 3), name


def test_one_line_of_text_among_calls_is_damage_and_a_cut_record_always(tmp_path: Path):
    noise = [f"INFO part {n}".encode() for n in range(5)]
    cut = json.dumps(call(3)).encode()[:-20]
    one = write_lines(tmp_path / "one.jsonl", call(1), b"garbage", call(2))
    many = write_lines(tmp_path / "many.jsonl", call(4), *noise, cut, call(5))
    receipt = ingest(make_run(tmp_path, one, many))
    assert (receipt.rows_out, receipt.dead_letters) == (4, 2)


def test_a_request_and_its_response_in_two_lines_of_one_id_are_one_call(tmp_path: Path):
    lines: list[Any] = []
    for own_id in ("r1", "r2"):
        lines.append({"id": own_id, "ts": 1790000000, "type": "request", "body": REQUEST})
    for own_id in ("r2", "r1"):
        lines.append({"id": own_id, "ts": 1790000001, "body": completion(f"c-{own_id}")})
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *lines))
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.dead_letters) == (2, 0)
    rows = query(run, "SELECT request_id, messages IS NOT NULL, sources[1] FROM landing ORDER BY 1")
    assert [(row[0], row[1], row[2][-2:]) for row in rows] == [
        ("c-r1", True, ":1"), ("c-r2", True, ":2"),
    ]  # fmt: skip


def test_a_dictionary_as_python_prints_it(tmp_path: Path):
    record = {"request": REQUEST, "response": completion(), "stream": False, "user": None}
    path = write_lines(tmp_path / "a.log", f"INFO:app:{record!r}".encode(), repr(record).encode(),
                       b"{'broken': (")  # fmt: skip
    receipt = ingest(make_run(tmp_path, path))
    assert (receipt.rows_out, receipt.duplicates, receipt.dead_letters) == (1, 1, 1)


def test_the_rest_of_a_cut_line_is_waited_for(tmp_path: Path):
    text = json.dumps(call(1))
    parts = [{"log": text[:50], "stream": "stdout", "time": TIME},
             {"log": text[50:] + "\n", "stream": "stdout", "time": TIME}]  # fmt: skip
    first = {"log": json.dumps(call(2)) + "\n", "stream": "stdout", "time": TIME}
    path = write_lines(tmp_path / "a.log", first, parts[0])
    run = make_run(tmp_path, path)
    assert ingest(run).rows_out == 1
    write_lines(path, first, *parts)
    again = make_run(tmp_path, path, run_id="run-2")
    assert ingest(again).rows_out == 1
    assert query(again, "SELECT count(*) FROM landing") == [(2,)]
    assert query(again, "SELECT state FROM dead_letters") == [("replayed",)]


def test_keys_that_mean_nothing_are_kept_and_told(tmp_path: Path):
    records = [call(n, shard=n, level="INFO") for n in range(3)]
    path = write_lines(tmp_path / "a.jsonl", *records, call(9, colour="red"))
    run = make_run(tmp_path, path)
    ingest(run)
    assert json.loads(query(run, "SELECT unread_keys FROM sources")[0][0]) == {
        "shard": 3, "colour": 1,
    }  # fmt: skip
    assert query(run, "SELECT tags->>'shard' FROM landing WHERE request_id = 'r2'") == [("2",)]


def test_a_record_of_ones_own_keeps_its_numbers(tmp_path: Path):
    record = {
        "timestamp": "2026-11-01T10:00:00Z", "model": "m", "messages": REQUEST["messages"],
        "completion": {"role": "assistant", "content": "yo"}, "latency_ms": 1500, "userId": "ann",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, "cost": 0.25,
        "conversationId": "c", "temperature": 0, "system_prompt": "Be brief.",
        "stop_reason": "stop",
    }  # fmt: skip
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", record))
    ingest(run)
    row = query(
        run,
        "SELECT started_at::VARCHAR, input_tokens, output_tokens, latency_s, cost_usd, session_id, "
        "user_hash IS NOT NULL, response->>'content', finish_reason, params::VARCHAR, "
        "json_array_length(messages), status FROM landing",
    )
    assert row == [("2026-11-01 10:00:00", 3, 4, 1.5, 0.25, "c", True, "yo", "stop",
                    '{"temperature":0}', 2, "ok")]  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        {"request_id": "r1", "status": 200, "path": "/x"},
        {"id": "e", "type": "message.created", "data": {"role": "user", "content": "hello"}},
        {"instruction": "x", "input": "y", "output": "z"},
        {"question": "what?", "answer": "that"},
        {"messages": [{"from": "a", "text": "hi"}], "model": "m"},
        {"messages": ["hi"], "response": {"status": "sent"}},
        {"response": {"code": 200}, "request_id": "r"},
        {"request_id": "r", "model": "m-1", "status": "shipped"},
        {"id": "a", "model": "m-1", "usage": {"total": 5}},
        {"request_id": "r", "response": "yes", "user": "ann"},
        {"id": 1, "call_type": "out", "startTime": 1, "endTime": 2, "model": "X1", "status": "ok"},
    ],
)
def test_what_is_no_call_is_not_taken_for_one(record: dict[str, Any], tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", *[record] * 5)
    with pytest.raises(UsageError, match="no log format recognises"):
        ingest(make_run(tmp_path, path))


@pytest.mark.parametrize("by_key", [
    {"ann": [call(1), call(2)], "about": {"made": "x"}, "bob": [call(3)], "cy": [call(4)]},
    {f"r{number}": call(number) for number in range(1, 5)},
    {str(number): {"n": number} for number in range(40)}
    | {f"x{number}": call(number) for number in range(1, 5)},
], ids=["lists", "records", "after many others"])  # fmt: skip
def test_records_by_their_keys_are_all_read(by_key: dict[str, Any], tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(by_key))
    run = make_run(tmp_path, path)
    ingest(run)
    found = [own for (own,) in query(run, "SELECT request_id FROM landing ORDER BY 1")]
    assert found == ["r1", "r2", "r3", "r4"]
    assert query(run, "SELECT count(*) FROM dead_letters") == [(0,)]
