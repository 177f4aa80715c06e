"""`--logs -` in a real process with a real pipe."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.flows.application import Answer, Application, call_record

_READ = ("ingest", "--logs", "-", "--json")


@pytest.fixture
def folder(tmp_path: Path) -> Application:
    """No settings, no logs: what is piped in is all there is."""
    return Application(tmp_path)


def lines(*numbers: int) -> bytes:
    return b"".join(json.dumps(call_record(number)).encode() + b"\n" for number in numbers)


def command(folder: Application, *arguments: str, module: str = "flows") -> dict[str, Any]:
    return {
        "args": [sys.executable, "-W", "ignore", "-m", module, *arguments],
        "cwd": folder.folder,
        "env": folder.environment(),
    }


def pipe(folder: Application, data: bytes, *arguments: str) -> Answer:
    done = subprocess.run(
        **command(folder, *(arguments or _READ)), input=data, capture_output=True, timeout=120
    )
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def counts(answer: Answer) -> tuple[int, int, int, int]:
    receipt = answer.json
    return tuple(receipt[name] for name in ("rows_in", "rows_out", "duplicates", "dead_letters"))  # type: ignore[return-value]


def spool(folder: Application) -> list[str]:
    return sorted(path.name for path in (folder.home / "spool").iterdir())


def test_piped_lines_are_counted_like_a_file_and_the_same_again_is_nothing_new(folder):
    data = lines(1, 2, 2) + b"{broken\n" + lines(3)[:40]
    assert counts(pipe(folder, data)) == (5, 2, 1, 2)
    assert spool(folder) == []
    again = pipe(folder, data)
    assert counts(again) == (0, 0, 0, 0)
    assert (again.json["files"], again.json["skipped_files"]) == (1, 1)
    assert counts(pipe(folder, lines(1, 2, 4))) == (3, 1, 2, 0)


def test_a_compressed_stream_and_a_file_beside_it(folder):
    path = folder.folder / "beside.jsonl"
    path.write_bytes(lines(1, 2))
    packed = gzip.compress(lines(2, 3))
    answer = pipe(folder, packed, "ingest", "--logs", "-", "--logs", "beside.jsonl", "--json")
    assert counts(answer) == (4, 3, 1, 0)


def test_an_empty_stream_is_an_empty_file_and_no_format_is_an_error(folder):
    answer = pipe(folder, b"")
    assert (answer.code, counts(answer)) == (0, (0, 0, 0, 0))
    assert len(answer.json["empty_files"]) == 1
    refused = pipe(folder, b"hello\nworld\n")
    assert refused.code == 2
    assert "no log format recognises the file" in refused.err
    assert "stdin:" in refused.err
    assert "next: flywheel ingest --format NAME to force one" in refused.err
    (each,) = refused.json["unrecognised"]["files"]
    assert each["file"].startswith("stdin:")
    assert spool(folder) == []


def test_a_file_that_is_not_read_beside_others_is_named_and_the_command_ends_well(folder):
    (folder.folder / "a.jsonl").write_bytes(lines(1))
    (folder.folder / "b.md").write_text("# Logs\n")
    named = ("ingest", "--logs", "a.jsonl", "--logs", "b.md")
    answer = folder.here(*named, "--json")
    assert (answer.code, counts(answer)) == (0, (2, 1, 0, 1))
    (each,) = answer.json["unrecognised"]["files"]
    assert (Path(each["file"]).name, each["reason"]) == ("b.md", "a Markdown document")
    assert answer.json["unrecognised"]["next"] == "flywheel ingest --format NAME"
    again = folder.here(*named)
    assert again.code == 0
    unread = [
        line.split(maxsplit=2)[2] for line in again.out.splitlines() if line[:8] == "not read"
    ]
    assert unread[1:] == ["b.md: a Markdown document"]


def test_a_closed_standard_input_is_told(folder):
    done = subprocess.run(
        ["bash", "-c", f"exec 0<&-; exec {sys.executable} -m flows ingest --logs -"],
        cwd=folder.folder, env=folder.environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "standard input is closed" in done.stderr


def test_what_had_come_in_when_the_command_was_killed_is_read_by_the_next(folder):
    process = subprocess.Popen(
        **command(folder, *_READ), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(lines(1, 2))
        process.stdin.flush()
        copy = folder.home / "spool" / "unfinished"
        deadline = time.monotonic() + 60
        while not copy.exists() or copy.stat().st_size < len(lines(1, 2)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    answer = pipe(folder, lines(2, 3))
    assert counts(answer) == (4, 3, 1, 0)
    assert spool(folder) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_in_ingest_the_copy_stays_and_the_same_again_ends_as_undisturbed(folder, moment):
    data = lines(1, 2)
    killed = subprocess.run(
        **command(folder, "ingest", moment, *_READ, module="tests.flows.killed"),
        input=data,
        capture_output=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(spool(folder)) == 1
    answer = pipe(folder, data)
    assert counts(answer) == (2, 2, 0, 0)
    assert spool(folder) == []
    with duckdb.connect(str(folder.home / "flywheel.duckdb"), read_only=True) as store:
        assert store.execute("SELECT state FROM runs").fetchall() == [("completed",)]
        assert store.execute("SELECT count(*) FROM landing").fetchone() == (2,)
