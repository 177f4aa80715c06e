"""`flywheel up` for real: its servers answer, come back when they are killed, and leave nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from flows.processes import process_started_at
from tests.conftest import REPOSITORY
from tests.flows.application import Application

_WAIT_S = 300.0


class Up:
    """A `flywheel up` that has said where everything is."""

    def __init__(self, application: Application, *, said: str = "stop with Ctrl-C") -> None:
        ports = [f"--{name}-port=0" for name in ("prefect", "mlflow", "reports")]
        self.process = application.start("up", *ports)
        self.home, self.said = application.home, ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not until(lambda: said in self.said or self.process.poll() is not None):
            self.close()
            raise AssertionError(f"not up after {_WAIT_S:.0f} s: {self.said}")
        if self.process.poll() is not None:
            assert self.process.stderr is not None
            told = self.said + self.process.stderr.read()
            self.close()
            raise AssertionError(told)
        self.pages = dict(re.findall(r"^(\w+)\s+(http://\S+)", self.said, re.MULTILINE))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def processes(self) -> list[int]:
        """All that descend from it, with the tethers between."""
        found, parents = [], [self.process.pid]
        while parents:
            listed = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", ",".join(map(str, parents))],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            parents = [int(pid) for pid in listed.stdout.split()]
            found += parents
        return [pid for pid in found if process_started_at(pid) is not None]

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def until(is_so: object, seconds: float = _WAIT_S) -> bool:
    assert callable(is_so)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.2)
    return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, follow_redirects=True).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_all_is_up_comes_back_and_goes(application: Application):
    (application.home / "reports").mkdir(parents=True)
    (application.home / "reports" / "index.html").write_text("all reports")
    up = Up(application)
    try:
        assert set(up.pages) == {"Prefect", "MLflow", "reports"}
        assert until(lambda: all(_answers(url) for url in up.pages.values()))
        assert httpx.get(up.pages["reports"], timeout=5).text == "all reports"
        strange = httpx.get(up.pages["reports"], timeout=5, headers={"Host": "evil.example"})
        assert strange.status_code == 400
        assert httpx.get(f"{up.pages['reports']}/../flywheel.duckdb", timeout=5).status_code == 404
        second = application.call("up", "--prefect-port=0", "--mlflow-port=0", "--reports-port=0")
        assert (second.code, "at work on this state folder already" in second.err) == (4, True)

        mlflow = json.loads((application.home / "ui.json").read_text())["pid"]
        os.killpg(mlflow, signal.SIGKILL)
        assert until(lambda: "MLflow died and is started again" in up.said, 10)
        assert until(lambda: _answers(up.pages["MLflow"]))

        done = application.call("run", "--json")
        assert done.code in (0, 1), done.err
        api = json.loads((application.home / "up.json").read_text())["url"]
        flow_runs = httpx.post(f"{api}/flow_runs/filter", json={}, timeout=30).json()
        assert any(run["name"].startswith("challenger vs champion") for run in flow_runs)

        processes = up.processes()
        assert len(processes) >= 8  # four parts, each behind its tether
        assert up.end(signal.SIGTERM) == 0
        assert [pid for pid in processes if process_started_at(pid) is not None] == []
    finally:
        up.close()


@pytest.mark.slow
def test_killed_outright_it_leaves_no_process(application: Application):
    up = Up(application)
    try:
        processes = up.processes()
        assert up.end(signal.SIGKILL) == -signal.SIGKILL
        assert until(lambda: not [p for p in processes if process_started_at(p) is not None], 20)
    finally:
        up.close()


def test_a_port_that_is_taken_is_named(application: Application, tmp_path: Path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = application.here("up", f"--prefect-port={port}")
    assert answer.code == 4
    assert f"flywheel up --prefect-port {port + 1}" in answer.err


def test_a_server_of_the_users_is_left_alone(application: Application):
    answer = application.here("up", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert answer.code == 2
    assert "flywheel deploy registers with that server" in answer.err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_one_that_systemd_takes():
    checked = subprocess.run(
        ["systemd-analyze", "verify", REPOSITORY / "docs" / "flywheel.service"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")
