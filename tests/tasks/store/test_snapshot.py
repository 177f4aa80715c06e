"""Readers beside a writing process see one moment of the store, and never wait."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.errors import StoreBusyError
from tasks.store import Store
from tasks.store.db import connection as store_connection
from tasks.store.db.snapshot import UnsteadyError, remove_leftovers, snapshot

#: commits small and large, deletes, checkpoints; every commit leaves the last three batches, whole
WRITER = """
import random, sys, duckdb
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
    print(batch, flush=True)
"""


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        yield writer
        writer.kill()


@pytest.mark.slow
def test_a_reader_sees_one_moment_of_a_store_that_is_being_written(tmp_path: Path):
    path = tmp_path / "flywheel.duckdb"
    seen: list[int] = []
    with writing(path):
        ends = time.monotonic() + 12
        while time.monotonic() < ends:
            started = time.monotonic()
            with Store.open(path, read_only=True) as store:
                waited = time.monotonic() - started
                (last,) = store.one("SELECT max(batch) FROM last") or ()
                batches = store.rows(
                    "SELECT batch, count(*) = max(number) + 1, min(length(text)) FROM rows "
                    "GROUP BY 1 ORDER BY 1"
                )
            assert [batch for batch, _, _ in batches] == list(range(max(1, last - 2), last + 1))
            assert all(whole and length == 32 for _, whole, length in batches)
            assert waited < 5
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
    os.utime(old, (1, 1))
    remove_leftovers(tmp_path)
    assert not old.exists()
    assert new.exists()
