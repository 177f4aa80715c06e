"""The store written anew: the same rows, none of the bytes that were deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from expectations.contracts import ALL_TABLES, FEEDBACK
from tasks.errors import StoreBusyError, StoreError
from tasks.store import Store
from tasks.store.db.compaction import compact, is_worth_it
from tests.conftest import REPOSITORY
from tests.tasks.store.test_store import feedback

MARK = "planted-3f9ac"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with what it held before in its free blocks."""
    path = tmp_path / "flywheel.duckdb"
    with Store.open(path) as store:
        store.insert(FEEDBACK, [feedback(7)])
        store.execute(
            "INSERT INTO dead_letters SELECT 'id' || i, 's', i, i, "
            "(? || repeat(md5(i::VARCHAR), 10))::BLOB, 'e', 'f', '1', 'r', now()::TIMESTAMP, "
            "'dead', false, 1, NULL, NULL FROM range(20_000) t(i)", [MARK]
        )  # fmt: skip
        store.execute("CHECKPOINT")
    with Store.open(path) as store:
        store.execute("UPDATE dead_letters SET raw = ''::BLOB")
    return path


def schema_and_rows(path: Path) -> list[object]:
    with duckdb.connect(str(path), read_only=True) as store:
        tables = store.execute("SELECT sql FROM duckdb_tables() ORDER BY 1").fetchall()
        return [tables, *(store.execute(f"FROM {t.name}").fetchall() for t in ALL_TABLES)]


def test_deleted_bytes_are_in_the_file_until_it_is_compacted(path: Path):
    with Store.open(path) as store:
        store.execute("CHECKPOINT")
        store.execute("VACUUM")
        assert is_worth_it(store.connection)
    before = schema_and_rows(path)
    assert MARK.encode() in path.read_bytes()
    size = path.stat().st_size
    compact(path)
    assert MARK.encode() not in path.read_bytes()
    assert path.stat().st_size < size
    assert schema_and_rows(path) == before
    assert [file.name for file in path.parent.iterdir()] == ["flywheel.duckdb"]
    with Store.open(path) as store:  # keys are still keys
        assert not is_worth_it(store.connection)
        with pytest.raises(duckdb.ConstraintException):
            store.insert(FEEDBACK, [feedback(7)])


def test_a_reader_keeps_what_it_opened(path: Path):
    with Store.open(path, read_only=True) as store:
        before = store.rows("FROM feedback")
        script = (
            "import sys; from pathlib import Path; from tasks.store.db.compaction import compact\n"
            "compact(Path(sys.argv[1]))\n"
        )
        subprocess.run([sys.executable, "-c", script, str(path)], cwd=REPOSITORY, check=True)
        assert store.rows("FROM feedback") == before
    assert MARK.encode() not in path.read_bytes()


def test_killed_half_way_it_leaves_the_store_and_nothing_else(path: Path):
    before = schema_and_rows(path)
    script = (
        "import os, sys; from pathlib import Path\n"
        "from tasks.store.db import compaction, copying\n"
        "copying.os.fsync = lambda *_: os._exit(9)\n"
        "compaction.compact(Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=REPOSITORY, check=False)
    assert done.returncode == 9
    assert len(list(path.parent.iterdir())) > 1
    assert schema_and_rows(path) == before
    with Store.open(path):
        pass
    assert [file.name for file in path.parent.iterdir()] == ["flywheel.duckdb"]


def test_written_meanwhile_or_without_room_it_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = schema_and_rows(path)
    path.with_name("flywheel.duckdb.wal").write_bytes(b"")
    with pytest.raises(StoreBusyError, match="once more"):
        compact(path)
    path.with_name("flywheel.duckdb.wal").unlink()
    full = type("Usage", (), {"free": 0})
    monkeypatch.setattr("tasks.store.db.compaction.shutil.disk_usage", lambda _: full)
    with pytest.raises(StoreError, match="no room") as caught:
        compact(path)
    assert caught.value.transient
    assert schema_and_rows(path) == before
    assert [file.name for file in path.parent.iterdir()] == ["flywheel.duckdb"]
