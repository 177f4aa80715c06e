"""A state goes into one file and comes back; what is half done is nothing, or is finished."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tasks.errors import StoreError, UsageError
from tasks.ingest.task import ingest
from tasks.run import Run
from tasks.safekeeping import backup
from tasks.safekeeping.backup import back_up, backup_path
from tasks.safekeeping.contents import MANIFEST, is_allowed
from tasks.safekeeping.restore import restore
from tasks.store import Store
from tasks.store.db.schema import MIGRATIONS
from tests.conftest import REPOSITORY
from tests.tasks.logs.builders import call, make_run, query, write_lines

NOW = datetime.fromisoformat("2026-11-24T12:00:00")


def state(folder: Path, number: int = 1) -> Run:
    """A state with something of every kind."""
    folder.mkdir(parents=True, exist_ok=True)
    log = write_lines(folder / f"{number}.jsonl", call(number), b"{broken")
    run = make_run(folder, log, run_id=f"run-{number}")
    ingest(run)
    home = run.settings.home_path
    with sqlite3.connect(home / "mlflow.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE IF NOT EXISTS runs (name)")
        database.execute("INSERT INTO runs VALUES (?)", [f"run-{number}"])
    database.close()
    for name in ("mlflow-artifacts/0/é/report.html", "reports/one/page.html", "spool/stdin-ab",
                 "prefect/prefect.db", "evaluate-memory.json"):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"{name} {number}")
    (home / "pseudonym.key").write_bytes(bytes([number]) * 32)
    return run


def contents(home: Path) -> dict[str, object]:
    """What matters of a state: rows of its databases and bytes of its files."""
    found: dict[str, object] = {
        path.relative_to(home).as_posix(): path.read_bytes()
        for name in ("mlflow-artifacts", "reports", "spool", "pseudonym.key",
                     "evaluate-memory.json")
        for path in sorted((home / name).rglob("*")) or [home / name]
        if path.is_file()
    }  # fmt: skip
    with duckdb.connect(str(home / "flywheel.duckdb"), read_only=True) as store:
        for table in ("landing", "dead_letters", "sources", "schema_migrations"):
            found[table] = store.execute(f"FROM {table} ORDER BY ALL").fetchall()
    with sqlite3.connect(home / "mlflow.db") as database:
        found["runs"] = database.execute("SELECT * FROM runs ORDER BY 1").fetchall()
    database.close()
    return found


def backup_of(run: Run, folder: Path) -> Path:
    return back_up(run.settings, backup_path(run.settings.home_path, f"{folder}/", NOW), NOW).path


def names_in(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def test_a_state_comes_back_as_it_was(tmp_path: Path):
    run = state(tmp_path / "a")
    before = contents(run.settings.home_path)
    path = backup_of(run, tmp_path / "backups")
    assert path.name == "flywheel-20261124T120000.tar"
    assert list(path.parent.iterdir()) == [path]
    assert names_in(path) == [
        "flywheel.duckdb", "mlflow.db", "pseudonym.key", "evaluate-memory.json",
        "mlflow-artifacts/0/é/report.html", "reports/one/page.html", "spool/stdin-ab",
        "manifest.json",
    ]  # fmt: skip
    elsewhere = make_run(tmp_path / "b")
    elsewhere.settings.home_path.mkdir(parents=True)
    done = restore(elsewhere.settings, path, NOW, force=False)
    assert contents(elsewhere.settings.home_path) == before
    assert done.kept is None
    assert any(str(run.settings.home_path) in note for note in done.notes)
    assert any("Prefect" in note for note in done.notes)
    with elsewhere.open_store() as store:  # and goes on
        assert store.scalar("SELECT count(*) FROM landing") == 1


def test_over_a_state_it_wants_to_be_asked_and_keeps_that_one(tmp_path: Path):
    old = state(tmp_path / "a")
    first = contents(old.settings.home_path)
    path = backup_of(old, tmp_path / "backups")
    state(tmp_path / "a", 2)
    second = contents(old.settings.home_path)
    assert first != second
    with pytest.raises(UsageError, match="--force, which keeps it in kept"):
        restore(old.settings, path, NOW, force=False)
    assert contents(old.settings.home_path) == second
    done = restore(old.settings, path, NOW, force=True)
    assert contents(old.settings.home_path) == first
    assert done.kept is not None
    assert contents(done.kept) == second
    assert not list(old.settings.home_path.glob("restor*"))
    assert (old.settings.home_path / "prefect" / "prefect.db").exists()


def test_a_damaged_store_gives_way_to_a_backup(tmp_path: Path):
    run = state(tmp_path / "a")
    before = contents(run.settings.home_path)
    path = backup_of(run, tmp_path / "backups")
    run.settings.store_path.write_bytes(b"damaged")
    run.settings.store_path.with_name("flywheel.duckdb.wal").write_bytes(b"damaged too")
    with pytest.raises(StoreError, match="rows may be missing"):
        backup_of(run, tmp_path / "more")
    assert not list((tmp_path / "more").glob("*"))
    done = restore(run.settings, path, NOW, force=True)
    assert contents(run.settings.home_path) == before
    assert done.kept is not None
    assert (done.kept / "flywheel.duckdb.wal").read_bytes() == b"damaged too"


def test_a_reader_may_have_the_store_open(tmp_path: Path):
    run = state(tmp_path / "a")
    script = (
        "import sys, duckdb\n"
        "c = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print('open', flush=True); sys.stdin.read()\n"
        "print(c.execute('SELECT count(*) FROM landing').fetchall(), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(run.settings.store_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        path = backup_of(run, tmp_path / "backups")
        restore(run.settings, path, NOW, force=True)
        assert reader.communicate("")[0] == "[(1,)]\n"
    assert "flywheel.duckdb" in names_in(path)


KILLED_BACKUP = """
import os, sys
from datetime import datetime
from pathlib import Path
from tasks.safekeeping import backup
from tasks.settings import parse_settings
settings = parse_settings({"home": sys.argv[1]}, base=".")
add, left = backup._add, [3]
def dying(*arguments):
    left[0] -= 1
    if not left[0]:
        os._exit(9)
    return add(*arguments)
backup._add = dying
backup.back_up(settings, Path(sys.argv[2]), datetime(2026, 1, 1))
"""


def test_a_backup_that_was_killed_is_none_and_is_cleared_away(tmp_path: Path):
    run = state(tmp_path / "a")
    target = tmp_path / "backups" / "one.tar"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_BACKUP, str(run.settings.home_path), str(target)],
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 9
    assert not target.exists()
    assert list(target.parent.iterdir())
    assert backup_of(run, target.parent).parent == target.parent
    assert [path.suffix for path in target.parent.iterdir()] == [".tar"]


def test_backups_of_two_containers_to_one_folder_leave_each_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Where each has a number of its own for its processes, both may have the same."""
    one, other = state(tmp_path / "a"), state(tmp_path / "b")
    folder = tmp_path / "backups"
    add, other_paths = backup._add, []

    def meanwhile(*arguments: Any) -> str:
        if not other_paths:
            other_paths.append(folder / "other.tar")
            back_up(other.settings, other_paths[0], NOW)
        return add(*arguments)

    monkeypatch.setattr(backup, "_add", meanwhile)
    path = back_up(one.settings, folder / "one.tar", NOW).path
    assert names_in(path) == names_in(other_paths[0])
    assert {found.name for found in folder.iterdir()} == {"one.tar", "other.tar"}


KILLED_RESTORE = """
import os, sys
from datetime import datetime
from pathlib import Path
from tasks.safekeeping import restore
from tasks.settings import parse_settings
settings = parse_settings({"home": sys.argv[1]}, base=".")
move, left = restore._move, [int(sys.argv[3])]
def dying(*arguments):
    left[0] -= 1
    if left[0] < 0:
        os._exit(9)
    move(*arguments)
restore._move = dying
restore.restore(settings, Path(sys.argv[2]), datetime(2026, 1, 1), force=True)
"""


@pytest.mark.parametrize("num_moves", [0, 1, 2, 5, 8, 11])
def test_a_restore_that_was_killed_is_refused_until_it_is_finished(tmp_path: Path, num_moves: int):
    run = state(tmp_path / "a")
    first = contents(run.settings.home_path)
    path = backup_of(run, tmp_path / "backups")
    state(tmp_path / "a", 2)
    second = contents(run.settings.home_path)
    home = run.settings.home_path
    done = subprocess.run(
        [sys.executable, "-c", KILLED_RESTORE, str(home), str(path), str(num_moves)],
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 9
    for read_only in (True, False):
        with (
            pytest.raises(StoreError, match="restore was interrupted"),
            Store.open(run.settings.store_path, read_only=read_only),
        ):
            pass
    kept = restore(run.settings, path, NOW, force=False).kept
    assert contents(home) == first
    assert kept is not None
    assert contents(kept) == second
    assert not (home / "restoring.json").exists()
    assert not (home / ".restoring").exists()


def rewritten(path: Path, change: dict[str, object], *, without: str = "", spoil: str = "") -> Path:
    """The same archive with another manifest, without a file or with another one."""
    target = path.with_name("rewritten.tar")
    with tarfile.open(path) as old, tarfile.open(target, "w") as new:
        for entry in old:
            data = (old.extractfile(entry) or io.BytesIO()).read()
            if entry.name == MANIFEST:
                data = json.dumps({**json.loads(data), **change}).encode()
            if entry.name == spoil:
                data = data[:-1] + b"?"
            if entry.name != without:
                entry.size = len(data)
                new.addfile(entry, io.BytesIO(data))
    return target


def test_what_cannot_be_restored_changes_nothing(tmp_path: Path):
    run = state(tmp_path / "a")
    path = backup_of(run, tmp_path / "backups")
    before = contents(run.settings.home_path)
    text, short = tmp_path / "text.tar", tmp_path / "short.tar"
    text.write_text("hello")
    short.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    digest = {"../evil": "0" * 64, "flywheel.duckdb": "0" * 64}
    for source, error, why in (
        (text, UsageError, "no backup of flywheel"),
        (short, UsageError, "no backup of flywheel"),
        (rewritten(path, {}, without="reports/one/page.html"), UsageError, "no backup"),
    ):
        with pytest.raises(error, match=why):
            restore(run.settings, source, NOW, force=True)
    for change, error, why in (
        ({"schema": len(MIGRATIONS) + 1}, StoreError, "newer flywheel"),
        ({"format": 2}, UsageError, "no backup"),
        ({"files": digest}, UsageError, "no backup"),
        ({"files": []}, UsageError, "no backup"),
    ):
        with pytest.raises(error, match=why):
            restore(run.settings, rewritten(path, change), NOW, force=True)
    with pytest.raises(StoreError, match=r"pseudonym\.key is not what was written"):
        restore(run.settings, rewritten(path, {}, spoil="pseudonym.key"), NOW, force=True)
    assert contents(run.settings.home_path) == before
    assert not (run.settings.home_path / ".restoring").exists()
    assert not (run.settings.home_path / "kept").exists()


def test_an_earlier_backup_is_migrated_with_a_copy(tmp_path: Path):
    run = state(tmp_path / "a")
    with run.open_store() as store:
        store.execute("DELETE FROM schema_migrations WHERE version > 12")
    path = backup_of(run, tmp_path / "backups")
    elsewhere = make_run(tmp_path / "b")
    elsewhere.settings.home_path.mkdir(parents=True)
    assert restore(elsewhere.settings, path, NOW, force=False).manifest.schema == 12
    assert query(elsewhere, "SELECT count(*) FROM landing") == [(1,)]
    (kept,) = (elsewhere.settings.home_path / "kept").iterdir()
    assert kept.name.startswith("flywheel-schema-12-")


def test_names_that_may_come_back():
    assert is_allowed("flywheel.duckdb")
    assert is_allowed("mlflow-artifacts/1/a b/é.html")
    for name in ("", "/etc/passwd", "reports/../../x", "run.lock", "kept/x", "..", "x\0",
                 "flywheel.duckdb/x", "manifest.json"):  # fmt: skip
        assert not is_allowed(name), name


def test_a_backup_lies_outside_and_replaces_nothing(tmp_path: Path):
    home = tmp_path / "home"
    with pytest.raises(UsageError, match="inside the state folder"):
        backup_path(home, str(home / "x.tar"), NOW)
    assert backup_path(home, "", NOW).parent == tmp_path / "flywheel-backups"
    (tmp_path / "there.tar").write_text("")
    with pytest.raises(UsageError, match="exists already"):
        backup_path(home, str(tmp_path / "there.tar"), NOW)
    assert backup_path(home, str(tmp_path), NOW).parent == tmp_path
