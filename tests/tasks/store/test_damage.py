"""A file that is not what was written: one line that names it and promises nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from expectations.contracts import FEEDBACK
from tasks.errors import FlywheelError, StoreError
from tasks.store import Store
from tasks.store.db import user_sql
from tasks.store.db.copying import copy_database
from tasks.store.held.marks import refuse_unanswerable
from tests.conftest import REPOSITORY
from tests.tasks.store.test_store import feedback

_ROWS = 20_000
_SCRIPT = f"""
import os, sys
from pathlib import Path
from tasks.store import Store
with Store.open(Path(sys.argv[1])) as store:
    store.execute("INSERT INTO feedback (feedback_id, request_id, kind, source, run_id, comment) "
                  "SELECT 'f' || i, 'r', 'k', 's', 'x', md5(i::VARCHAR) FROM range({_ROWS}) t(i)")
    store.execute("CHECKPOINT")
    store.execute("INSERT INTO feedback (feedback_id, request_id, kind, source, run_id) "
                  "VALUES ('last', 'r', 'k', 's', 'x')")
    os._exit(0)  # killed: what was committed last stands in the log
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A store and its log."""
    path = tmp_path_factory.mktemp("killed") / "flywheel.duckdb"
    subprocess.run([sys.executable, "-c", _SCRIPT, str(path)], cwd=REPOSITORY, check=True)
    return path.read_bytes(), path.with_name("flywheel.duckdb.wal").read_bytes()


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def read_all(path: Path, *, read_only: bool) -> int:
    with Store.open(path, read_only=read_only) as store:
        if not read_only:
            with store.transaction():
                store.insert(FEEDBACK, [feedback(0)], existing="replace")
        return len(store.rows("SELECT * FROM feedback"))


Spoil = Callable[[bytes, bytes], tuple[bytes, bytes | None]]
SPOILED: dict[str, Spoil] = {
    **{f"header, byte {n}": lambda d, w, n=n: (flipped(d, n), w) for n in (0, 8, 100, 4100, 8200)},  # type: ignore[misc]
    "block": lambda d, _: (flipped(d, 12_288 + 9), None),
    "log, first byte": lambda d, w: (d, flipped(w, 0)),
    "log, entry": lambda d, w: (d, flipped(w, len(w) // 2)),
    "log is text": lambda d, _: (d, b"hello\n"),
    "a quarter": lambda d, _: (d[: len(d) // 4], None),
    "header alone": lambda d, _: (d[:5000], None),
    "some bytes": lambda d, _: (d[:100], None),
    "empty": lambda _, __: (b"", None),
    "text": lambda _, __: (b"no database\n" * 1000, None),
}


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("name", SPOILED)
def test_damage_is_told_whoever_opens_it(
    tmp_path: Path, killed: tuple[bytes, bytes], name: str, read_only: bool
):
    path, log = tmp_path / "flywheel.duckdb", tmp_path / "flywheel.duckdb.wal"
    data, wal = SPOILED[name](*killed)
    path.write_bytes(data)
    if wal is not None:
        log.write_bytes(wal)
    with pytest.raises(StoreError) as caught:
        read_all(path, read_only=read_only)
    line = caught.value.line()
    assert str(path) in line
    assert "rows may be missing" in line
    assert "flywheel restore" in line
    assert "nothing stored is lost" not in line


def test_a_flipped_bit_anywhere_is_found_or_changes_nothing(
    tmp_path: Path, killed: tuple[bytes, bytes]
):
    data, wal = killed
    path, draw, found = tmp_path / "flywheel.duckdb", random.Random(7), 0
    for _ in range(40):
        path.write_bytes(flipped(data, draw.randrange(len(data))))
        path.with_name("flywheel.duckdb.wal").write_bytes(wal)
        try:
            assert read_all(path, read_only=True) == _ROWS + 1
        except StoreError as error:
            assert "rows may be missing" in error.line()  # noqa: PT017
            found += 1
    assert found > 10


def test_undamaged_and_a_log_cut_short_by_a_crash_open(tmp_path: Path, killed: tuple[bytes, bytes]):
    path, log = tmp_path / "flywheel.duckdb", tmp_path / "flywheel.duckdb.wal"
    for rest, rows in ((killed[1], _ROWS + 1), (killed[1][:-3], _ROWS), (b"", _ROWS)):
        path.write_bytes(killed[0])
        log.write_bytes(rest)
        assert read_all(path, read_only=True) == rows


def test_a_folder_in_its_place(tmp_path: Path):
    path = tmp_path / "flywheel.duckdb"
    path.mkdir()
    for read_only in (True, False):
        with pytest.raises(StoreError, match="Is a directory"):
            read_all(path, read_only=read_only)


def with_flipped_blocks(path: Path, data: bytes) -> None:
    """All but the first, with which it opens."""
    for block in range(12_288 + 262_144, len(data), 262_144):
        data = flipped(data, block + 9)
    path.write_bytes(data)


def test_sql_of_a_user_is_not_to_blame(tmp_path: Path, killed: tuple[bytes, bytes]):
    path = tmp_path / "flywheel.duckdb"
    with_flipped_blocks(path, killed[0])

    def ask() -> None:
        with Store.open(path, read_only=True) as store:
            user_sql.query(store, "SELECT * FROM feedback")

    def judge() -> None:
        with Store.open(path, read_only=True) as store:
            refuse_unanswerable(store, "feedback", {"rule": "feedback::VARCHAR = ''"})

    for text in ("SELECT corrupt", "SELECT error('Corrupt database file')"):
        with (
            Store.open(tmp_path / "whole.duckdb") as store,
            pytest.raises(user_sql.RefusedSqlError),
        ):
            user_sql.query(store, text)
    for look in (ask, judge):
        with pytest.raises(StoreError, match="rows may be missing"):
            look()


def test_a_copy_of_a_damaged_store_is_none(tmp_path: Path, killed: tuple[bytes, bytes]):
    path = tmp_path / "flywheel.duckdb"
    with_flipped_blocks(path, killed[0])
    with pytest.raises(StoreError, match="rows may be missing"):
        copy_database(path, tmp_path / "copy.duckdb")
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_error_is_told_and_not_that_of_undoing(tmp_path: Path):
    """Whatever fails inside a transaction, nothing can be asked of it afterwards."""
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        store.insert(FEEDBACK, [feedback(1)])
        with pytest.raises(duckdb.ConstraintException), store.transaction():
            store.insert(FEEDBACK, [feedback(1)])
        store.insert(FEEDBACK, [feedback(2)])


def test_a_lack_of_memory_is_told_as_one(tmp_path: Path):
    path = tmp_path / "flywheel.duckdb"

    def ask_for_too_much() -> None:
        with Store.open(path) as store:
            store.execute("SET memory_limit = '20MB'")
            store.execute("SET temp_directory = ''")
            store.execute("SELECT list(i) FROM range(100_000_000) t(i)")

    with pytest.raises(FlywheelError, match="this machine has not enough memory"):
        ask_for_too_much()
