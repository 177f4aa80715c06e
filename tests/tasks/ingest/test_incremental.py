from __future__ import annotations

import contextlib
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest import in_turn, one_file, task
from tasks.ingest.task import ingest
from tests.tasks.logs.builders import append, call, line, make_run, query, write_lines


def counts(receipt: Any) -> tuple[int, int, int, int]:
    return (receipt.rows_in, receipt.rows_out, receipt.duplicates, receipt.dead_letters)


def test_of_an_appended_file_only_the_tail_is_read(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2))
    ingest(make_run(tmp_path, path))
    append(path, line(call(3)) + b"\n")
    run = make_run(tmp_path, path, run_id="run-2")
    assert counts(ingest(run)) == (1, 1, 0, 0)
    assert query(run, "SELECT sources[1] FROM landing WHERE request_id = 'r3'") == [(f"{path}:3",)]
    assert query(run, "SELECT run_id, rows_in FROM sources ORDER BY run_id") == [
        ("run-1", 2), ("run-2", 1),
    ]  # fmt: skip


def test_a_touched_file_is_nothing_new(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1))
    ingest(make_run(tmp_path, path))
    os.utime(path, ns=(1, 1))
    run = make_run(tmp_path, path, run_id="run-2")
    assert counts(ingest(run)) == (0, 0, 0, 0)
    assert query(run, "SELECT mtime_ns, run_id FROM sources") == [
        (path.stat().st_ctime_ns, "run-1")
    ]


def test_a_rewritten_file_is_read_as_new_and_its_old_calls_are_duplicates(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2))
    ingest(make_run(tmp_path, path))
    write_lines(path, call(3), call(2), call(1))
    receipt = ingest(make_run(tmp_path, path, run_id="run-2"))
    assert counts(receipt) == (3, 1, 2, 0)
    assert receipt.notes["changed_files"] == [str(path)]


def test_a_file_that_grew_and_changed_in_its_beginning_is_told_and_read_anew(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2))
    ingest(make_run(tmp_path, path))
    write_lines(path, call(1, model="m-2"), call(2), call(3))
    run = make_run(tmp_path, path, run_id="run-2")
    receipt = ingest(run)
    assert counts(receipt) == (3, 2, 1, 0)
    assert receipt.notes["changed_files"] == [str(path)]
    assert query(run, "SELECT run_id, changed FROM sources ORDER BY 1") == [
        ("run-1", False), ("run-2", True),
    ]  # fmt: skip


def test_a_file_that_was_cut_short_is_told_and_one_that_only_grew_is_not(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2))
    ingest(make_run(tmp_path, path))
    append(path, line(call(3)) + b"\n")
    grown = ingest(make_run(tmp_path, path, run_id="run-2"))
    assert "changed_files" not in grown.notes
    write_lines(path, call(2))
    cut = ingest(make_run(tmp_path, path, run_id="run-3"))
    assert counts(cut) == (1, 0, 1, 0)
    assert cut.notes["changed_files"] == [str(path)]


def test_a_file_put_back_to_what_it_was_is_nothing_new_and_can_grow_again(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1))
    old = path.read_bytes()
    ingest(make_run(tmp_path, path))
    write_lines(path, call(2), call(3))
    ingest(make_run(tmp_path, path, run_id="run-2"))
    path.write_bytes(old)
    os.utime(path, ns=(5, 5))
    assert counts(ingest(make_run(tmp_path, path, run_id="run-3"))) == (0, 0, 0, 0)
    append(path, line(call(4)) + b"\n")
    assert counts(ingest(make_run(tmp_path, path, run_id="run-4"))) == (1, 1, 0, 0)


def test_a_cut_off_last_line_is_a_dead_letter_with_its_offset_and_waits_for_its_rest(
    tmp_path: Path,
):
    whole = line(call(2))
    path = write_lines(tmp_path / "a.jsonl", call(1), whole[:30], end=b"")
    start = path.read_bytes().index(whole[:30])
    run = make_run(tmp_path, path)
    assert counts(ingest(run)) == (2, 1, 0, 1)
    assert query(run, "SELECT byte_offset, line_number, raw, state FROM dead_letters") == [
        (start, 2, whole[:30], "dead")
    ]
    assert "cut off" in query(run, "SELECT error FROM dead_letters")[0][0]
    assert query(run, "SELECT bytes_done FROM sources") == [(start,)]
    append(path, whole[30:] + b"\n" + line(call(3)) + b"\n")
    assert counts(ingest(make_run(tmp_path, path, run_id="run-2"))) == (2, 2, 0, 0)
    assert query(run, "SELECT state FROM dead_letters") == [("replayed",)]


def test_a_cut_off_line_that_grew_but_is_not_whole_yet_goes_on_waiting(tmp_path: Path):
    whole = line(call(2))
    path = write_lines(tmp_path / "a.jsonl", call(1), whole[:30], end=b"")
    run = make_run(tmp_path, path)
    ingest(run)
    append(path, whole[30:50])
    assert counts(ingest(make_run(tmp_path, path, run_id="run-2"))) == (1, 0, 0, 1)
    assert query(run, "SELECT octet_length(raw), state FROM dead_letters ORDER BY 1") == [
        (30, "replayed"), (50, "dead"),
    ]  # fmt: skip
    append(path, whole[50:] + b"\n")
    assert counts(ingest(make_run(tmp_path, path, run_id="run-3"))) == (1, 1, 0, 0)
    assert query(run, "SELECT DISTINCT state FROM dead_letters") == [("replayed",)]


def test_a_broken_last_line_that_only_gets_its_line_end_stays_one_dead_letter(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), b"{broken", end=b"")
    run = make_run(tmp_path, path)
    ingest(run)
    append(path, b"\n" + line(call(2)) + b"\n")
    assert counts(ingest(make_run(tmp_path, path, run_id="run-2"))) == (2, 1, 1, 0)
    assert query(run, "SELECT state FROM dead_letters") == [("dead",)]


def test_a_last_line_without_line_end_that_parses_is_a_record(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2), end=b"")
    assert counts(ingest(make_run(tmp_path, path))) == (2, 2, 0, 0)
    append(path, b"\n" + line(call(3)))
    run = make_run(tmp_path, path, run_id="run-2")
    assert counts(ingest(run)) == (1, 1, 0, 0)
    assert query(run, "SELECT sources[1] FROM landing WHERE request_id = 'r3'") == [(f"{path}:3",)]


def test_a_lone_cut_off_line_is_recognised_once_it_is_whole(tmp_path: Path):
    good = write_lines(tmp_path / "good.jsonl", call(9))
    whole = line(call(1))
    path = tmp_path / "a.jsonl"
    path.write_bytes(whole[:20])
    run = make_run(tmp_path, path, good)
    assert counts(ingest(run)) == (2, 1, 0, 1)
    path.write_bytes(whole + b"\n")
    assert counts(ingest(make_run(tmp_path, path, good, run_id="run-2"))) == (1, 1, 0, 0)
    assert query(run, "SELECT state FROM dead_letters") == [("replayed",)]


def test_an_appended_gzip_file_goes_on_where_it_stopped(tmp_path: Path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(line(call(1)) + b"\n"))
    ingest(make_run(tmp_path, path))
    append(path, gzip.compress(line(call(2)) + b"\n"))
    assert counts(ingest(make_run(tmp_path, path, run_id="run-2"))) == (1, 1, 0, 0)


def test_a_gzip_file_still_being_copied_is_finished_later(tmp_path: Path):
    lines = b"".join(line(call(n, note=os.urandom(200).hex())) + b"\n" for n in range(500))
    packed = gzip.compress(lines)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    run = make_run(tmp_path, path)
    first = ingest(run)
    assert first.dead_letters == 1
    assert 0 < first.rows_out < 500
    assert "cut off" in query(run, "SELECT error FROM dead_letters")[0][0]
    path.write_bytes(packed)
    second = ingest(make_run(tmp_path, path, run_id="run-2"))
    assert counts(second) == (500 - first.rows_out, 500 - first.rows_out, 0, 0)
    assert query(run, "SELECT state FROM dead_letters") == [("replayed",)]


def test_a_gzip_file_that_lacks_only_its_last_bytes_waits_for_them_on_the_next_line(tmp_path: Path):
    packed = gzip.compress(line(call(1)) + b"\n" + line(call(2)) + b"\n")
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[:-6])
    run = make_run(tmp_path, path)
    assert counts(ingest(run)) == (3, 2, 0, 1)
    assert query(run, "SELECT line_number, error FROM dead_letters") == [
        (3, "the compressed file is cut off")
    ]
    path.write_bytes(packed)
    assert counts(ingest(make_run(tmp_path, path, run_id="run-2"))) == (0, 0, 0, 0)
    assert query(run, "SELECT state FROM dead_letters") == [("replayed",)]


def test_a_grown_document_is_read_as_new(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([call(1)], indent=1))
    ingest(make_run(tmp_path, path))
    path.write_text(json.dumps([call(1), call(2)], indent=1))
    assert counts(ingest(make_run(tmp_path, path, run_id="run-2"))) == (2, 1, 1, 0)


class KilledError(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


@pytest.mark.parametrize(
    ("where", "at", "at_once"),
    [("intake.take", 1, 0), ("intake.take", 3, 0), ("readings.add_readings", 1, 0),
     ("readings.add_readings", 2, 0), ("ledger.finish_stage", 1, 0),
     ("readings.add_readings", 1, 2), ("readings.add_readings", 2, 2),
     ("readings.add_readings", 1, 3), ("ledger.finish_stage", 1, 3)],
)  # fmt: skip
def test_a_run_killed_anywhere_and_started_again_equals_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, at: int, at_once: int
):
    """`at_once`: small files a transaction; 0: each is taken as if it were large."""
    monkeypatch.setattr(in_turn, "_MAX_SMALL_BYTES", in_turn._MAX_SMALL_BYTES if at_once else -1)
    monkeypatch.setattr(in_turn, "_MAX_FILES", at_once)
    cut = line(call(8))[:25]
    for name, lines in (
        ("a", [call(1), call(2, feedback={"value": 1}), b"{x"]),
        ("b", [call(2), call(3), call(3)]),
        ("c", [call(4), {"record": "feedback", "request_id": "r1", "value": -1}, cut]),
    ):
        write_lines(tmp_path / f"{name}.jsonl", *lines, end=b"")
    logs = tmp_path / "*.jsonl"
    undisturbed = make_run(tmp_path, logs)
    expected = ingest(undisturbed)

    def state(run: Any) -> list[Any]:
        return [
            query(run, "SELECT request_id, content_digest, sources FROM landing ORDER BY ALL"),
            query(run, "SELECT feedback_id FROM feedback ORDER BY ALL"),
            query(run, "SELECT dead_letter_id, state FROM dead_letters ORDER BY ALL"),
            query(run, "SELECT path, digest, bytes_done, rows_in FROM sources ORDER BY ALL"),
        ]

    killed = make_run(tmp_path, logs, home=str(tmp_path / "killed"))
    calls = 0
    holder, name = where.split(".")
    target: Any = one_file.Intake if holder == "intake" else getattr(task, holder)
    real = getattr(target, name)

    def kill(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        result = real(*args, **kwargs)
        if calls == at:
            raise KilledError
        return result

    monkeypatch.setattr(target, name, kill)
    with contextlib.suppress(KilledError):
        ingest(killed)
    monkeypatch.setattr(target, name, real)
    assert ingest(killed) == expected
    assert state(killed) == state(undisturbed)
