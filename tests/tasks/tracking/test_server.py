"""A real server on loopback: what `flywheel ui` starts, and a turn recorded through it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tasks.record.task import record
from tasks.settings import Settings
from tasks.tracking.erasing import erase_in_mlflow
from tasks.tracking.publish import Pages
from tasks.tracking.server import server_command
from tests.mlflow_home import home_with_mlflow
from tests.ports import free_port
from tests.tasks.record.turns import fill, make_run


@contextmanager
def _served(settings: Settings) -> Iterator[str]:
    port = free_port()
    argv, environment = server_command(settings, port)
    process = subprocess.Popen(
        argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.25)
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_turn_recorded_over_http_is_served_with_its_files(tmp_path: Path) -> None:
    server_home = tmp_path / "server"
    server_home.mkdir()
    with _served(make_run(home_with_mlflow(server_home)).settings) as address:
        run = make_run(tmp_path / "client", tracking_uri=address)
        fill(run, num_samples=6)
        notes = record(run).notes
        url = f"{address}/api/2.0/mlflow/runs/get?run_id={notes['mlflow_run_id']}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["run"]
        assert found["info"]["run_name"] == "candidate vs prod · WORSE"
        assert found["info"]["status"] == "FINISHED"
        url = f"{address}/get-artifact?path=report.html&run_uuid={notes['mlflow_run_id']}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            page = answer.read().decode()
        assert "candidate is worse than prod" in page
    assert not (tmp_path / "client" / "mlflow.db").exists()


def _holding(home: Path, mark: bytes) -> set[str]:
    """Files of the server."""
    files = [path for path in home.rglob("*") if path.is_file()]
    return {path.name for path in files if mark in path.read_bytes()}


@pytest.mark.slow
def test_what_is_erased_over_http_is_in_no_row_and_no_file_of_the_server(tmp_path: Path) -> None:
    """Its database keeps the bytes until it is written anew, which the command tells people."""
    home = tmp_path / "server"
    home.mkdir()
    drawn = tmp_path / "report.html"
    drawn.write_text("drawn anew")
    with _served(make_run(home_with_mlflow(home)).settings) as address:
        run = make_run(tmp_path / "client", tracking_uri=address)
        fill(run, num_samples=6)
        record(run)
        with run.open_store(read_only=True) as store:
            ((sample_id, target),) = store.rows(
                "SELECT sample_id, target FROM samples WHERE target = 'A-1004'"
            )
        mark = f"order {target} has".encode()
        assert {"report.html", "mlflow.db-wal"} <= _holding(home, mark)
        pages = {run.run_id: Pages("note", (drawn,), None)}
        told = {run.run_id: "partly erased"}
        assert erase_in_mlflow(run.settings, pages, [sample_id], told) == 2
        assert erase_in_mlflow(run.settings, pages, [sample_id], told) == 0
        assert _holding(home, mark) <= {"mlflow.db", "mlflow.db-wal"}
        with closing(sqlite3.connect(home / "mlflow.db")) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in tables.fetchall():
                rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
                assert mark.decode() not in str(rows), table
            # what is printed for whoever has the database
            database.executescript("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
        assert _holding(home, mark) == set()
