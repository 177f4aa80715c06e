"""`flywheel ui` as a real process, and the addresses that a summary prints for it."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from flows.commands.ui import mlflow_page
from flows.processes import Server, process_started_at, remembered
from tasks.settings import parse_settings
from tests.flows.application import Application
from tests.flows.processes import group_of, servers_of
from tests.ports import free_port

_PAGE = "/#/experiments/1"


@pytest.mark.slow
def test_who_ends_flywheel_ui_ends_mlflow_with_it(application: Application):
    port = free_port()
    settings = parse_settings({}, base=str(application.folder))
    url = f"http://127.0.0.1:{port}"
    with application.start("ui", "--port", str(port)) as ui:
        deadline = time.monotonic() + 240
        while True:
            assert ui.poll() is None, ui.stderr and ui.stderr.read()
            assert time.monotonic() < deadline
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.2)
        served = mlflow_page(settings, _PAGE, "")
        mlflow = [member for child in servers_of(ui.pid) for member in group_of(child)]
        assert len(mlflow) >= 3, "mlflow, the server it starts, and the tether"
        ui.send_signal(signal.SIGTERM)
        assert ui.wait(60) == 0
    assert served == [("MLflow", url + _PAGE)]
    assert [pid for pid in mlflow if process_started_at(pid) is not None] == []
    # it is gone, and the next one is expected where this one was
    command = f"flywheel ui --port {port}"
    assert mlflow_page(settings, _PAGE, "") == [("MLflow", command), ("  then", url + _PAGE)]


def test_the_address_of_a_page_before_any_server_and_of_a_server_elsewhere(tmp_path: Path):
    settings = parse_settings({}, base=str(tmp_path))
    assert mlflow_page(settings, _PAGE, " --config a.toml") == [
        ("MLflow", "flywheel ui --config a.toml"), ("  then", "http://127.0.0.1:5000" + _PAGE),
    ]  # fmt: skip
    values = {"mlflow": {"tracking_uri": "https://me:secret@runs.example"}}
    elsewhere = parse_settings(values, base=str(tmp_path))
    assert mlflow_page(elsewhere, _PAGE, "") == [("MLflow", "https://runs.example" + _PAGE)]
    # a record of a process that is another one by now
    Server(os.getpid(), 1.0, "http://127.0.0.1:5001").remember(tmp_path / ".flywheel" / "ui.json")
    assert mlflow_page(settings, _PAGE, "")[0] == ("MLflow", "flywheel ui --port 5001")
    # and one of a container that shares the folder, where this number is another process
    record = tmp_path / ".flywheel" / "ui.json"
    here = Server.of(os.getpid(), "http://127.0.0.1:5002")
    here.remember(record)
    assert remembered(record) == here
    assert here.is_running()
    assert mlflow_page(settings, _PAGE, "") == [("MLflow", "http://127.0.0.1:5002" + _PAGE)]
    replace(here, where="another").remember(record)
    assert mlflow_page(settings, _PAGE, "")[0] == ("MLflow", "flywheel ui --port 5002")
