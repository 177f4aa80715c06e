"""Readers beside a writing process see one moment of the store, and never wait."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from tasks.errors import StoreBusyError
from tasks.store import Store
from tasks.store.db import connection as store_connection
from tasks.store.db import snapshot as snapshots
from tasks.store.db.snapshot import UnsteadyError, remove_leftovers, snapshot

_READS = 12
#: commits small and large, deletes, checkpoints; every commit leaves the last three batches, whole
WRITER = """
import os, random, sys, duckdb
store = duckdb.connect(sys.argv[1])
store.execute("CREATE TABLE IF NOT EXISTS rows (batch BIGINT, number BIGINT, text VARCHAR)")
store.execute("CREATE TABLE IF NOT EXISTS last (batch BIGINT)")
store.execute("INSERT INTO last VALUES (0)")
draw, batch = random.Random(1), 0
while True:
    batch += 1
    store.execute("BEGIN")
    store.execute("DELETE FROM rows WHERE batch <= ?", [batch - 3])
    store.execute(
        "INSERT INTO rows SELECT ?, i, md5(random()::VARCHAR) FROM range(?) range(i)",
        [batch, draw.choice([10, 5_000, 200_000])],
    )
    store.execute("UPDATE last SET batch = ?", [batch])
    store.execute("COMMIT")
    if draw.random() < 0.3:
        store.execute("CHECKPOINT")
    os.write(1, b"%d\\n" % batch)  # whole, and at once
"""


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    with Store.open(path):
        pass
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        yield writer
        writer.kill()


def wait_for_commit(writer: subprocess.Popen[str]) -> int:
    """The last batch, once there is one more than when this was called."""
    assert writer.stdout is not None
    said = b""
    for _ in range(2):  # what it has said before, and what comes then
        said += os.read(writer.stdout.fileno(), 1 << 20)
    return int(said.split()[-1])


@pytest.mark.slow
def test_a_reader_sees_one_moment_of_a_store_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "flywheel.duckdb"
    seen: list[int] = []
    copies = Mock(side_effect=snapshots._copy)
    monkeypatch.setattr(snapshots, "_copy", copies)
    copy_bytes = snapshots._copy_bytes

    def slowly(source: Path, target: Path) -> None:
        if source == path:  # after its log: whatever a slow machine lets happen in between
            wait_for_commit(writer)
        copy_bytes(source, target)

    monkeypatch.setattr(snapshots, "_copy_bytes", slowly)
    with writing(path) as writer:
        for _ in range(_READS):
            committed = wait_for_commit(writer)
            copies.reset_mock()
            with Store.open(path, read_only=True) as store:
                (last,) = store.one("SELECT max(batch) FROM last") or ()
                batches = store.rows(
                    "SELECT batch, count(*) = max(number) + 1, min(length(text)) FROM rows "
                    "GROUP BY 1 ORDER BY 1"
                )
            assert [batch for batch, _, _ in batches] == list(range(max(1, last - 2), last + 1))
            assert all(whole and length == 32 for _, whole, length in batches)
            assert last >= committed
            # what it does instead of waiting until the writer is done
            assert 1 <= copies.call_count <= snapshots._TRIES
            seen.append(last)
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
    assert not list(tmp_path.glob(".snapshot-*"))


def test_a_copy_that_never_holds_still_is_refused_with_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "flywheel.duckdb"
    monkeypatch.setattr("tasks.store.db.snapshot._TRIES", 2)
    monkeypatch.setattr("tasks.store.db.snapshot._PAUSE_S", 0.0)
    monkeypatch.setattr("tasks.store.db.snapshot._header", lambda _: os.urandom(8))
    with writing(path) as writer:
        with pytest.raises(UnsteadyError), snapshot(path):
            pass
        with (
            pytest.raises(StoreBusyError, match=f"held by process {writer.pid}"),
            Store.open(path, read_only=True),
        ):
            pass
    assert not list(tmp_path.glob(".snapshot-*/*"))


def test_no_room_for_a_copy_is_told_as_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "flywheel.duckdb"
    monkeypatch.setattr(store_connection, "snapshot", full)
    with writing(path), pytest.raises(StoreBusyError), Store.open(path, read_only=True):
        pass


def test_copies_of_killed_readers_go_after_an_hour(tmp_path: Path):
    old, new = tmp_path / ".snapshot-old", tmp_path / ".snapshot-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "flywheel.duckdb").write_bytes(b"x")
    for path in (old / "flywheel.duckdb", old):
        os.utime(path, (1, 1))
    remove_leftovers(tmp_path)
    assert not old.exists()
    assert new.exists()
