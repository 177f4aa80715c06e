"""A real server on loopback: what `flywheel ui` starts, and a turn recorded through it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.record.task import record
from tasks.settings import Settings
from tasks.tracking.server import server_command
from tests.mlflow_home import home_with_mlflow
from tests.tasks.record.turns import fill, make_run


@contextmanager
def _served(settings: Settings) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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
