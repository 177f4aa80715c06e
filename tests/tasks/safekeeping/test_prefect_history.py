"""What Prefect keeps of us: blotted out by values and lines, the rest as it was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tasks.errors import StoreBusyError, StoreError
from tasks.logs.shapes.coerce import user_hash
from tasks.safekeeping.prefect_history import blot_out, clear_history
from tasks.safekeeping.searching import Search

TEXT = "my parcel of last week has not come yet"
SEARCH = Search({"call-7"}, {user_hash("ann@x.org") or ""}, [TEXT])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("the pin of call-7 expired.", "(erased)"),
        ("two lines\nof call-7: no\nthree", "two lines\n(erased)\nthree"),
        (f"it said {TEXT}, twice", "(erased)"),
        (f"a text\n{TEXT[:12]}\n{TEXT[12:]}", f"a text\n{TEXT[:12]}\n{TEXT[12:]}"),
        ('{"logs": ["a", "call-7"], "n": 1}', '{"logs": ["a", "(erased)"], "n": 1}'),
        ('"## Held\\n\\n- user ann@x.org"', '"## Held\\n\\n(erased)"'),
        ('{"call-7": null}', '{"(erased)": null}'),
        ("call-77", "call-77"),
        ("7", "7"),
    ],
)
def test_what_tells_of_it_is_blotted_out_and_json_stays_json(text: str, left: str):
    assert blot_out(text, SEARCH) == left


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Its database with a log of its own, as a server that was killed leaves it."""
    (tmp_path / "prefect").mkdir()
    (tmp_path / "up").mkdir()
    path = tmp_path / "prefect" / "prefect.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute('CREATE TABLE artifact (id CHAR(36) PRIMARY KEY, "data" JSON, n INT)')
        database.execute("CREATE TABLE log (message VARCHAR NOT NULL)")
        database.execute("CREATE VIEW messages AS SELECT message FROM log")
        rows = [("a", json.dumps(f"- {TEXT}\n- others"), 1), ("b", '{"name": "call-8"}', 2),
                ("c", None, 3)]  # fmt: skip
        database.executemany("INSERT INTO artifact VALUES (?, ?, ?)", rows)
        database.execute("INSERT INTO log VALUES ('Finished call-7'), ('Finished')")
        database.commit()
    (tmp_path / "up" / "worker.log").write_text("begun\nrefused: call-7 in pins.jsonl\nended\n")
    return tmp_path


def test_no_byte_of_the_history_tells_of_it_and_the_rest_is_there(home: Path):
    path = home / "prefect" / "prefect.db"
    with closing(sqlite3.connect(path)) as database:
        assert clear_history(home, SEARCH) == 3
        assert database.execute("SELECT data FROM artifact ORDER BY id").fetchall() == [
            ('"(erased)\\n- others"',), ('{"name": "call-8"}',), (None,),
        ]  # fmt: skip
        assert database.execute("SELECT message FROM log").fetchall() == [
            ("(erased)",), ("Finished",),
        ]  # fmt: skip
    held = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    assert b"call-7" not in held
    assert TEXT.encode() not in held
    assert (home / "up" / "worker.log").read_text() == "begun\nended\n"
    assert clear_history(home, SEARCH) == 0


def test_where_there_is_no_history_there_is_nothing_to_do(tmp_path: Path):
    assert clear_history(tmp_path, SEARCH) == 0
    assert not any(tmp_path.iterdir())


def test_a_database_that_is_held_or_none_is_a_line(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.safekeeping.prefect_history._TIMEOUT_S", 0.1)
    path = home / "prefect" / "prefect.db"
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="stop what has it open"):
            clear_history(home, SEARCH)
    for beside in path.parent.glob("prefect.db*"):
        beside.unlink()
    path.write_bytes(b"no database " * 100)
    with pytest.raises(StoreError, match="Prefect's database is damaged"):
        clear_history(home, SEARCH)
