"""Small files are taken many at a time, and the store cannot tell."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tasks.ingest import in_turn, one_file
from tasks.ingest.task import ingest
from tasks.run import Run
from tasks.store.control.pseudonym_key import pseudonym_key
from tasks.store.db import connection
from tests.tasks.logs.builders import append, call, line, make_run, query, write_lines

TABLES = {
    "landing": "ingested_at", "feedback": "", "dead_letters": "created_at", "sources": "read_at",
    "met_again": "",
}  # fmt: skip


def write_small_files(folder: Path, count: int) -> None:
    """One call a file, some in another file too; judgements, broken and cut ones, and no logs."""
    draw = random.Random(0)
    for number in range(count):
        some = call(draw.randrange(count), note="x" * draw.randrange(300))
        path = folder / f"{number % 3}" / f"{number:03}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = number % 12
        if kind == 3:
            path.write_text(json.dumps([some, call(number), some, 7], indent=1))
        elif kind == 4:
            path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(line(some) + b"\n{x\n"))
        elif kind == 5:
            write_lines(path, {**some, "feedback": {"value": 1, "by": "me@example.org"}}, b"{x")
        elif kind == 6:
            judged = {"record": "feedback", "request_id": f"r{number - 1}", "value": -1}
            write_lines(path, call(number, request_id=f"{number}@example.org"), judged, judged)
        elif kind == 7:
            path.write_bytes(line(some)[:-20])
        elif kind == 8:
            path.with_name(f"{number} readme.md").write_text("# no log")
        elif kind == 9:
            write_lines(path, call(number, started_at="2026-11-09T00:00:00Z"), call(number))
        elif kind == 10:
            path.write_bytes(b"" if number % 5 else b"[" * 100)
        else:
            path.write_bytes(line(some))


def change(folder: Path) -> None:
    """What happens to some of them until the next night."""
    for number, path in enumerate(sorted(folder.rglob("*.json*"))):
        if number % 4 == 1:
            append(path, b"\n" + line(call(1000 + number)) + b"\n")
        elif number % 4 == 2:
            write_lines(path, call(number))
        elif number % 8 == 3:
            path.write_bytes(path.read_bytes())  # another time


def tables(run: Run) -> dict[str, list[Any]]:
    """Row by row, but for times. (What was met again is noted with a call by moving its row.)"""
    without = {name: f"EXCLUDE ({column})" if column else "" for name, column in TABLES.items()}
    return {
        name: query(run, f"SELECT * {without[name]} FROM {name} ORDER BY ALL") for name in TABLES
    }


class Each:
    """Ingests of the same files one by one (`at_once` 0), and so many at a time."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, at_once: int) -> None:
        self._folder = folder
        self._patch = patch
        self._ways = {"alone": 0, "together": at_once}
        self._num_runs = 0
        key = pseudonym_key(folder / "alone")
        (folder / "together").mkdir()
        (folder / "together" / "pseudonym.key").write_bytes(key)

    def assert_equal(self, **request: Any) -> Any:
        """What every way leaves in the store and tells; the receipt."""
        self._num_runs += 1
        found = {}
        for name, at_once in self._ways.items():
            self._patch.setattr(in_turn, "_MAX_SMALL_BYTES", 2**20 if at_once else -1)
            self._patch.setattr(in_turn, "_MAX_FILES", at_once)
            home = str(self._folder / name)
            run = make_run(self._folder, self._folder / "logs", run_id=f"run-{self._num_runs}",
                           home=home, **request)  # fmt: skip
            receipt = ingest(run)
            found[name] = {"receipt": receipt, **tables(run)}
        for part, expected in found["alone"].items():
            assert found["together"][part] == expected, part
        return receipt


@pytest.mark.parametrize("at_once", [7, 500])
def test_the_store_is_the_same_as_of_one_file_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    each = Each(tmp_path, monkeypatch, at_once)
    write_small_files(tmp_path / "logs", 60)
    first = each.assert_equal(until="2026-11-05")
    assert min(first.rows_out, first.duplicates, first.dead_letters, first.outside_window) >= 3
    second = each.assert_equal()
    assert (second.rows_out, second.notes["new_files"]) == (5, 5)
    change(tmp_path / "logs")
    assert each.assert_equal().rows_out > 5
    last = each.assert_equal()
    assert (last.rows_in, last.notes["new_files"]) == (0, 0)


@pytest.mark.parametrize("error", [MemoryError("none"), duckdb.IOException("disk is full")])
def test_where_many_fail_together_each_is_taken_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: Any) -> None:
        tried.append(1)
        take(*_)
        raise error

    tried: list[int] = []
    take = one_file.take_together
    monkeypatch.setattr(one_file, "take_together", fails)
    write_small_files(tmp_path / "logs", 24)
    Each(tmp_path, monkeypatch, 10).assert_equal()
    assert len(tried) == 3


class Counted:
    """A connection that counts what it is asked."""

    def __init__(self, real: duckdb.DuckDBPyConnection, asked: list[str]) -> None:
        self._real = real
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, sql: str, *parameters: Any) -> Any:
        self._asked.append(sql)
        return self._real.execute(sql, *parameters)


def test_many_files_take_as_many_statements_as_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    connect = connection.connect
    monkeypatch.setattr(connection, "connect", lambda *to: Counted(connect(*to), asked))
    monkeypatch.setattr(in_turn, "_MAX_FILES", 100)

    def statements(count: int, run_id: str) -> tuple[int, int]:
        asked.clear()
        home = str(tmp_path / f"home {count}")
        receipt = ingest(make_run(tmp_path, tmp_path / f"{count}", run_id=run_id, home=home))
        assert receipt.notes["files"] == count
        return len(asked), sum(sql == "COMMIT" for sql in asked)

    for count in (10, 300):
        (tmp_path / f"{count}").mkdir()
        for number in range(count):
            write_lines(tmp_path / f"{count}" / f"{number}.json", call(number), b"{x")
    few, few_commits = statements(10, "run-1")
    many, many_commits = statements(300, "run-1")
    assert many_commits == few_commits + 2
    assert many - few < 50
    night, _ = statements(300, "run-2")
    assert night <= few
    for path in (tmp_path / "300").iterdir():
        path.write_bytes(path.read_bytes())
    touched, _ = statements(300, "run-3")
    assert touched <= night + 5


def test_large_files_come_in_where_they_stand_among_small_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_turn, "_MAX_SMALL_BYTES", 2_000)
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(0, 6, 2):
        write_lines(logs / f"{number}.jsonl", call(number), call(1), call(3))
        write_lines(logs / f"{number + 1}.jsonl", *(call(n, note="x" * 90) for n in range(90)))
    run = make_run(tmp_path, logs)
    ingest(run)
    assert query(run, "SELECT rows_out, duplicates FROM sources ORDER BY path") == [
        (3, 0), (90, 0), (1, 2), (0, 90), (1, 2), (0, 90),
    ]  # fmt: skip
