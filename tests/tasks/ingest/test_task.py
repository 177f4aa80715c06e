from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.logs import formats
from tests.tasks.logs.builders import call, make_run, query, write_lines
from tests.tasks.logs.formats.test_openai_chat import pair
from tests.tasks.logs.formats.test_otlp import document, span


def test_three_formats_are_recognised_by_content_and_every_record_is_counted(tmp_path: Path):
    feedback = {"record": "feedback", "request_id": "r1", "kind": "thumbs", "value": 1}
    write_lines(tmp_path / "a.log", call(1), call(2, feedback={"value": -1}), feedback)
    agent = span({"gen_ai.operation.name": "invoke_agent"})
    usage = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 1}
    (tmp_path / "b.json").write_text(json.dumps(document(span(usage), agent), indent=2))
    write_lines(tmp_path / "c.jsonl", pair(), b"{broken")
    run = make_run(tmp_path, tmp_path / "*.*")
    receipt = ingest(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.dead_letters) == (6, 5, 1)
    assert receipt.notes == {
        "files": 3, "new_files": 3, "skipped_files": 0,
        "by_format": {"canonical": 3, "openai_chat": 1, "otlp": 1},
        "input_tokens": 11 + 12 + 7 + 14, "output_tokens": 5 + 5 + 1 + 7,
        "feedback": 2, "other_spans": 1,
    }  # fmt: skip
    assert query(run, "SELECT stage FROM run_stages") == [("ingest",)]


def test_a_second_run_finds_nothing_new_and_reads_nothing(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1))
    ingest(make_run(tmp_path, path))
    path.chmod(0)  # for all but root, reading it now would fail
    receipt = ingest(make_run(tmp_path, path, run_id="run-2"))
    assert (receipt.rows_in, receipt.notes["skipped_files"]) == (0, 1)


def test_duplicates_are_counted_and_their_source_is_noted_with_the_kept_row(tmp_path: Path):
    first = write_lines(tmp_path / "a.jsonl", call(1), call(1), call(2))
    second = write_lines(tmp_path / "b.jsonl", call(1), call(3))
    run = make_run(tmp_path, tmp_path)
    receipt = ingest(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.duplicates) == (5, 3, 2)
    (sources,) = query(run, "SELECT sources FROM landing WHERE request_id = 'r1'")[0]
    assert sources == [f"{first}:1", f"{first}:2", f"{second}:1"]


def test_duplicates_of_admitted_and_quarantined_calls_are_recognised(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2))
    run = make_run(tmp_path, path)
    ingest(run)
    with run.open_store() as store:
        store.execute("INSERT INTO requests SELECT * FROM landing WHERE request_id = 'r1'")
        store.execute(
            "INSERT INTO quarantine SELECT 'q1', request_id, 'e', [], NULL, NULL, 's', 'run-1', "
            "now()::TIMESTAMP, to_json(landing), 'held', NULL FROM landing WHERE request_id = 'r2'"
        )
        store.execute("DELETE FROM landing")
    again = write_lines(tmp_path / "b.jsonl", call(1), call(2), call(2, model="other"))
    receipt = ingest(make_run(tmp_path, again, run_id="run-2"))
    assert (receipt.rows_out, receipt.duplicates) == (1, 2)
    assert query(run, "SELECT sources[2] FROM requests") == [(f"{again}:1",)]


def test_the_same_id_with_other_content_keeps_both_and_is_told(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), call(1, model="other"), call(2))
    run = make_run(tmp_path, path)
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.duplicates, receipt.notes["conflicts"]) == (3, 0, 2)


def test_calls_without_an_id_are_told_apart_by_content(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1, request_id=...), call(1, request_id=...),
                       call(2, request_id=...))  # fmt: skip
    run = make_run(tmp_path, path)
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.duplicates) == (2, 1)
    assert all(i.startswith("content:") for (i,) in query(run, "SELECT request_id FROM landing"))


def test_feedback_counts_once_however_often_it_is_said(tmp_path: Path):
    thumb = {"kind": "thumbs", "value": 1}
    alone = {"record": "feedback", "request_id": "r1", **thumb}
    path = write_lines(tmp_path / "a.jsonl", call(1, feedback=thumb), alone, alone)
    receipt = ingest(make_run(tmp_path, path))
    assert (receipt.rows_in, receipt.rows_out, receipt.duplicates) == (3, 1, 2)
    assert receipt.notes["feedback"] == 1


def test_feedback_that_comes_later_with_a_known_call_is_stored(tmp_path: Path):
    first = write_lines(tmp_path / "a.jsonl", call(1))
    second = write_lines(tmp_path / "b.jsonl", call(1, feedback={"value": -1}))
    ingest(make_run(tmp_path, first))
    receipt = ingest(make_run(tmp_path, second, run_id="run-2"))
    assert (receipt.duplicates, receipt.notes["feedback"]) == (1, 1)


def test_users_are_stored_as_hashes_only(tmp_path: Path):
    record = call(1, user="ann@example.com", feedback={"value": 1, "by": "bob@example.com"})
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", record))
    ingest(run)
    stored = str(query(run, "SELECT * FROM landing")) + str(query(run, "SELECT * FROM feedback"))
    assert "example.com" not in stored


def test_gzip_is_read_as_if_it_were_plain(tmp_path: Path):
    path = tmp_path / "a.jsonl.gz"
    lines = b"\n".join(json.dumps(call(n)).encode() for n in range(5))
    path.write_bytes(gzip.compress(lines[:100]) + gzip.compress(lines[100:] + b"\n"))
    assert ingest(make_run(tmp_path, path)).rows_out == 5


def test_parquet_rows_are_calls(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = [
        {**call(1), "params": json.dumps({"n": 1}), "latency_s": 1.5},
        {**call(2), "params": None, "latency_s": float("nan")},
    ]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    run = make_run(tmp_path, path)
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.dead_letters) == (1, 1)
    assert query(run, "SELECT params, latency_s FROM landing") == [('{"n":1}', 1.5)]
    assert "NaN" in query(run, "SELECT error FROM dead_letters")[0][0]


def test_a_damaged_parquet_file_is_a_dead_letter(tmp_path: Path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 nothing of the kind PAR1")
    receipt = ingest(make_run(tmp_path, path))
    assert (receipt.rows_in, receipt.dead_letters) == (1, 1)


def test_a_json_array_is_a_list_of_records(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([call(1), 5, call(2)]))
    pretty = tmp_path / "b.json"
    pretty.write_text(json.dumps([call(3), call(4)], indent=1))
    rows = tmp_path / "c.json"
    rows.write_text("[\n" + ",\n".join(json.dumps(call(n)) for n in (5, 6)) + "\n]\n")
    receipt = ingest(make_run(tmp_path, tmp_path))
    assert (receipt.rows_out, receipt.dead_letters) == (6, 1)


def test_files_that_no_format_recognises_do_not_stop_the_others(tmp_path: Path):
    (tmp_path / "README.md").write_text("# Logs\n\nSee below.\n")
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    (tmp_path / "conf.yaml").write_text("interactions:\n- &x [1]\n- *x\n")
    write_lines(tmp_path / "a.jsonl", call(1))
    run = make_run(tmp_path, tmp_path)
    receipt = ingest(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.dead_letters) == (4, 1, 3)
    dead = query(run, "SELECT raw, error, line_number FROM dead_letters ORDER BY source")
    assert dead[0][0] == b"# Logs\n\nSee below.\n"
    assert all("no format recognises this file" in error for _, error, _ in dead)
    assert "aliases are refused" in dead[1][1]


def test_when_nothing_is_recognised_the_run_stops_and_nothing_is_lost(tmp_path: Path):
    (tmp_path / "README.md").write_text("# Logs")
    for run_id in ("run-1", "run-2"):
        run = make_run(tmp_path, tmp_path, run_id=run_id)
        with pytest.raises(UsageError, match=r"README\.md") as caught:
            ingest(run)
        assert caught.value.exit_code == 2
        assert caught.value.allowed == ", ".join(formats.NAMES)
        assert query(run, "SELECT count(*) FROM dead_letters") == [(1,)]


def test_a_forced_format_makes_a_dead_letter_of_every_line_that_does_not_parse(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("one\ntwo\n" + json.dumps(call(1)) + "\n")
    with pytest.raises(UsageError):
        ingest(make_run(tmp_path, write_lines(tmp_path / "other.txt", b"just text", b"more")))
    receipt = ingest(make_run(tmp_path, tmp_path, run_id="run-2", log_format="canonical"))
    assert (receipt.rows_in, receipt.rows_out, receipt.dead_letters) == (5, 1, 4)


def test_a_file_refused_before_is_read_again_when_a_format_is_forced(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", {"request_id": "r", **{f"x{n}": n for n in range(9)}})
    with pytest.raises(UsageError):
        ingest(make_run(tmp_path, path))
    run = make_run(tmp_path, path, run_id="run-2", log_format="canonical")
    assert ingest(run).rows_out == 1
    assert query(run, "SELECT state FROM dead_letters") == [("replayed",)]


def test_a_forced_format_on_a_broken_document_is_one_dead_letter(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document(span()), indent=2)[:-20])
    run = make_run(tmp_path, path, log_format="otlp")
    assert ingest(run).dead_letters == 1
    assert query(run, "SELECT format FROM dead_letters") == [("otlp",)]


def test_an_unknown_format_name_says_which_was_meant(tmp_path: Path):
    with pytest.raises(UsageError, match="did you mean 'otlp'"):
        ingest(make_run(tmp_path, tmp_path, log_format="oltp"))


def test_an_empty_file_is_a_source_without_rows_and_is_told(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.touch()
    run = make_run(tmp_path, path)
    receipt = ingest(run)
    assert (receipt.rows_in, receipt.notes["empty_files"]) == (0, [str(path)])
    assert query(run, "SELECT size_bytes, rows_in FROM sources") == [(0, 0)]


def test_no_logs_asked_for_is_nothing_done(tmp_path: Path):
    receipt = ingest(make_run(tmp_path))
    assert (receipt.rows_in, receipt.notes["files"]) == (0, 0)


def test_progress_is_told(tmp_path: Path):
    from dataclasses import replace

    told: list[tuple[str, int, int | None, str]] = []
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", call(1)))
    ingest(replace(run, progress=lambda *args: told.append((*args, "")[:4])))
    assert told == [("ingest", 0, 1, "a.jsonl"), ("ingest", 1, 1, "")]


def test_batches_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tasks.store.intake import streaming as intake

    monkeypatch.setattr(intake, "_MAX_HELD_ROWS", 3)
    lines = [call(n % 7, feedback={"value": 1}) for n in range(20)] + [b"{x"] * 4
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *lines))
    receipt = ingest(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.duplicates) == (24, 7, 13)
    assert query(run, "SELECT len(sources) FROM landing WHERE request_id = 'r1'") == [(3,)]
