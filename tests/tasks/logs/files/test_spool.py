"""Standard input as a file of the state folder."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.logs.files import spool
from tasks.logs.files.sources import find_files
from tests.tasks.logs.builders import call, line, make_run, query


def piped(home: Path, data: bytes) -> list[Path]:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    try:
        return spool.keep_stdin(home, reading)
    finally:
        os.close(reading)


def test_the_copy_is_private_and_named_by_its_content(tmp_path: Path):
    home = tmp_path / ".home"
    (path,) = piped(home, b"some\nlines")
    assert path.read_bytes() == b"some\nlines"
    assert path.name == f"stdin-{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    (file,) = find_files([str(path)], home).files
    assert file.source == f"stdin:{path.name[6:22]}"


def test_what_killed_commands_left_is_read_with_the_next_and_then_deleted(tmp_path: Path):
    home = tmp_path / ".home"
    (left,) = piped(home, line(call(1)) + b"\n")
    # another was killed while it received
    (home / "spool" / "unfinished").write_bytes(line(call(2)) + b"\n" + b'{"request_id": "r')
    paths = piped(home, line(call(3)) + b"\n")
    assert len(paths) == 3
    assert left in paths
    run = make_run(tmp_path, *paths)
    receipt = ingest(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.dead_letters) == (4, 3, 1)
    with run.open_store() as store:
        spool.discard_read(home, store)
    assert list((home / "spool").iterdir()) == []
    assert piped(home, line(call(3)) + b"\n") == [paths[0]]
    again = ingest(make_run(tmp_path, paths[0], run_id="run-2"))
    assert (again.rows_in, again.notes["skipped_files"]) == (0, 1)


def test_a_copy_that_was_not_read_is_kept(tmp_path: Path):
    home = tmp_path / ".home"
    (path,) = piped(home, line(call(1)) + b"\n")
    with make_run(tmp_path).open_store() as store:
        spool.discard_read(home, store)
    assert path.exists()


def test_standard_input_is_a_file_of_its_own_in_sources_and_dead_letters(tmp_path: Path):
    (path,) = piped(tmp_path / ".home", line(call(1)) + b"\n{broken\n")
    run = make_run(tmp_path, path)
    ingest(run)
    name = f"stdin:{path.name[6:22]}"
    assert query(run, "SELECT path FROM sources") == [(name,)]
    assert query(run, "SELECT sources[1] FROM landing") == [(f"{name}:1",)]
    assert query(run, "SELECT source FROM dead_letters") == [(name,)]


def test_a_dash_where_there_is_no_command_line_is_a_usage_error():
    with pytest.raises(UsageError, match="on the command line only"):
        find_files(["-"])
