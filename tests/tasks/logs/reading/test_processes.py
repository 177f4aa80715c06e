"""A large file parsed by several processes brings what one process brings."""

from __future__ import annotations

import itertools
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import FlywheelError
from tasks.ingest.task import ingest
from tasks.logs.files.opening import open_stream
from tasks.logs.files.sources import find_files
from tasks.logs.reading import processes, reader
from tasks.logs.reading.commands import ParseStretch, Stretch
from tasks.logs.reading.reader import stretches
from tasks.logs.shapes.rows import Provenance
from tasks.replay.task import replay
from tasks.store.intake.readings import DeadCap, LogRows
from tests.tasks.ingest.test_hostile import HOSTILE as EVERY_KIND
from tests.tasks.logs.builders import append, call, make_run, query, write_lines

HOSTILE: list[Any] = [
    call(1), b"", b"   ", b'{"request_id": "r2"', call(3, feedback={"value": 1}), b"\xff\xfe",
    call(1), b'{"request_id": "nul\x00"}', b"[" * 200, b'{"input_tokens": 99999999999999999999}',
    call(4, messages=[{"role": "user", "content": "x" * 3000}]), b'{"a": NaN}', [call(5), call(6)],
    {"record": "feedback", "request_id": "r1", "value": -1}, call(7, request_id=...),
]  # fmt: skip
TABLES = {
    "landing": "* EXCLUDE (ingested_at)",
    "dead_letters": "* EXCLUDE (created_at)",
    "feedback": "*",
    "sources": "* EXCLUDE (read_at)",
}


@pytest.fixture
def in_small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_SMALL_BYTES", 0)
    monkeypatch.setattr(reader, "_MIN_BYTES_FOR_PROCESSES", 0)
    monkeypatch.setattr(reader, "_STRETCH_BYTES", 300)


def tables(run: Any) -> dict[str, list[tuple[Any, ...]]]:
    return {name: query(run, f"SELECT {what} FROM {name} ORDER BY ALL")
            for name, what in TABLES.items()}  # fmt: skip


@pytest.mark.parametrize("end", [b"\n", b"", b'\n{"cut": "of'], ids=["ended", "open", "cut off"])
def test_any_number_of_processes_brings_the_same_tables(
    tmp_path: Path, in_small_stretches: None, end: bytes
) -> None:
    path = write_lines(tmp_path / "a.jsonl", *HOSTILE, *(call(n) for n in range(20, 60)), end=end)
    found = []
    for count in (1, 2, 3):
        run = make_run(tmp_path / str(count), path, ingest={"processes": count})
        first = ingest(run)
        append(path, b'"}\n' + json.dumps(call(99)).encode() + b"\n" if count == 3 else b"")
        found.append((tables(run), first.rows_in, first.dead_letters))
    assert found[0] == found[1] == found[2]
    assert found[0][2] >= 6
    for count in (1, 3):  # of the appended file only the tail
        run = make_run(tmp_path / str(count), path, run_id="run-2", ingest={"processes": count})
        assert ingest(run).rows_out == 1
        found.append((tables(run), 0, 0))
    assert found[-1] == found[-2]


def test_hostile_lines_are_the_same_dead_letters_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_SMALL_BYTES", 0)
    monkeypatch.setattr(reader, "_MIN_BYTES_FOR_PROCESSES", 0)
    endless = b'{"request_id": "' + b"x" * 50 * 2**20 + b'"}'
    lines = [call(1), *(data for data, _ in EVERY_KIND.values()), endless, call(2), call(2)]
    path = write_lines(tmp_path / "a.jsonl", *lines, b'{"cut": "of', end=b"")
    found = []
    for count in (1, 2):
        run = make_run(tmp_path / str(count), path, ingest={"processes": count})
        receipt = ingest(run)
        assert (receipt.rows_out, receipt.duplicates) == (2, 1)
        assert receipt.dead_letters >= len(EVERY_KIND) + 2
        found.append((receipt, tables(run)))
    assert found[0] == found[1]


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Any:
    """(signal, how many of the next processes it ends at once)"""
    start = processes.Worker.__init__

    def arm(number: signal.Signals, times: int) -> None:
        left = itertools.count(times, -1)

        def killed(worker: Any, *args: Any) -> None:
            start(worker, *args)
            if next(left) > 0:
                worker._process.send_signal(number)
                worker._process.wait()

        monkeypatch.setattr(processes.Worker, "__init__", killed)

    return arm


@pytest.fixture(params=["apart", "in stretches"])
def apart(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_SMALL_BYTES", 2000)
    if request.param == "in stretches":
        monkeypatch.setattr(reader, "_MIN_BYTES_FOR_PROCESSES", 2000)
    else:
        monkeypatch.setattr(reader, "_is_line", lambda *_: False)


def test_what_a_process_dies_of_is_one_dead_letter_and_the_other_files_come_in(
    tmp_path: Path, apart: None, dying: Any
) -> None:
    path = write_lines(tmp_path / "b.jsonl", *(call(n) for n in range(50)))
    for name, number in (("a", 98), ("c", 99)):
        write_lines(tmp_path / f"{name}.jsonl", call(number))
    run = make_run(tmp_path, tmp_path, ingest={"processes": 2})
    dying(signal.SIGSEGV, 100)
    first = ingest(run)
    assert first.rows_out == 2
    ((error, source),) = query(run, "SELECT error, source FROM dead_letters")
    assert "SIGSEGV" in error
    assert source == str(path)
    again = make_run(tmp_path, tmp_path, run_id="run-2", ingest={"processes": 2})
    assert ingest(again).notes["new_files"] == 0
    dying(signal.SIGSEGV, 0)
    third = make_run(tmp_path, run_id="run-3", ingest={"processes": 2})
    assert replay(third).rows_out == 50
    assert query(run, "SELECT DISTINCT state FROM dead_letters") == [("replayed",)]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux tells what is loaded")
def test_a_process_that_parses_loads_no_pandas(tmp_path: Path) -> None:
    path, run = write_lines(tmp_path / "a.jsonl", call(1)), make_run(tmp_path)
    limits = run.settings.ingest
    (file,) = find_files([str(path)]).files
    made_by = Provenance(str(path), "canonical", "canonical@1", "run-1", run.clock())
    stretch = Stretch(0, file.size_bytes, 1, 1)
    command = ParseStretch(file, limits, made_by, DeadCap(), stretch, False, False)
    with processes.Workers(limits) as workers, workers.one() as worker:
        rows, _ = worker.ask(command)
        loaded = Path(f"/proc/{worker._process.pid}/maps").read_text()
    assert isinstance(rows, LogRows)
    assert rows.calls.num_rows == 1
    assert "pyarrow" in loaded
    assert "pandas" not in loaded


def test_a_process_that_is_killed_once_changes_nothing(
    tmp_path: Path, apart: None, dying: Any
) -> None:
    path = write_lines(tmp_path / "a.jsonl", *HOSTILE, *(call(n) for n in range(20, 60)))
    found = []
    for times in (0, 1):
        dying(signal.SIGKILL, times)
        run = make_run(tmp_path / str(times), path, ingest={"processes": 2})
        ingest(run)
        found.append(tables(run))
    assert found[0] == found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_a_person_ends_is_told_and_nothing_is_taken_in(
    tmp_path: Path, apart: None, dying: Any, number: signal.Signals
) -> None:
    path = write_lines(tmp_path / "a.jsonl", *(call(n) for n in range(50)))
    run = make_run(tmp_path, path, ingest={"processes": 2})
    dying(number, 100)
    with pytest.raises(FlywheelError, match="ended before its work") as told:
        ingest(run)
    assert number.name in str(told.value)
    assert query(run, "SELECT count(*) FROM landing") == [(0,)]
    dying(number, 0)
    assert ingest(run).rows_out == 50


def test_stretches_are_whole_lines_and_cover_the_file(tmp_path: Path) -> None:
    content = b"a\n" * 30 + b"b" * 500 + b"\n\n" + b"c" * 10
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    (file,) = find_files((str(path),)).files
    with open_stream(file, 10**9, 1e9) as stream:
        found = list(stretches(stream, 2, 50))
    assert found[0].offset == 2
    assert sum(each.size_bytes for each in found) == len(content) - 2
    for before, after in itertools.pairwise(found):
        assert before.offset + before.size_bytes == after.offset
        assert content[after.offset - 1 : after.offset] == b"\n"
        assert after.number == 1 + content[: after.offset].count(b"\n")


_STANDS_STILL = """
import threading
from tasks.logs.reading.here import LogHere
lock = threading.Lock()
lock.acquire()
LogHere.rows = lambda *_: iter(lock.acquire, None)
"""


@pytest.mark.slow
def test_a_process_that_stands_still_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_STANDS_STILL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(reader, "_SMALL_BYTES", 100)
    monkeypatch.setattr(reader, "_is_line", lambda *_: False)
    path = write_lines(tmp_path / "a.jsonl", call(1))
    run = make_run(tmp_path, path, ingest={"max_parser_s": 1})
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.dead_letters) == (0, 1)
    ((error,),) = query(run, "SELECT error FROM dead_letters")
    assert "it stood still for 12 s (12 times [ingest] max_parser_s)" in error
