"""Prefect's own server for a local run: starts, stops, is found again after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

import flows.prefect_server
from flows.commands.deploy import register
from flows.prefect_server import QUIET, prefect_api, wait_for_given
from flows.processes import process_started_at
from tasks.errors import StoreError
from tests.conftest import REPOSITORY
from tests.flows.application import Application
from tests.flows.processes import group_of, servers_of

_BEGIN_AND_HANG = """
import pathlib, sys, time
from flows.prefect_server import prefect_api
with prefect_api(pathlib.Path(sys.argv[1])) as wait:
    print("started", flush=True)
    time.sleep(600)
"""


def wait_until_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if all(process_started_at(pid) is None for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_server_answers_inside_the_block_and_is_gone_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PREFECT_HOME", "restored afterwards")
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "7")
    monkeypatch.delenv("PREFECT_LOGGING_LEVEL", raising=False)
    before = {**os.environ, **QUIET}
    with prefect_api(tmp_path) as wait:
        (leader,) = servers_of(os.getpid())
        assert os.environ["PREFECT_API_URL"].startswith("http://127.0.0.1:")
        wait()
        group = group_of(leader)
        assert len(group) == 2, "the server and its tether"
        assert os.environ["PREFECT_CLIENT_MAX_RETRIES"] == "7", "what is said stands"
        assert os.environ["PREFECT_LOGGING_LEVEL"] == "CRITICAL"
    assert dict(os.environ) == before, "what comes after is no local run"
    assert wait_until_gone(group)


def test_server_ends_with_a_run_that_is_killed(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", _BEGIN_AND_HANG, str(tmp_path)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        assert run.stdout.readline() == "started\n"
        (leader,) = servers_of(run.pid)
        group = group_of(leader)
        assert group
        os.kill(run.pid, signal.SIGKILL)
    assert wait_until_gone(group)


def test_given_server_that_does_not_answer_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PREFECT_API_URL", "http://me:secret@127.0.0.1:1/api")
    with (
        prefect_api(tmp_path) as wait,
        pytest.raises(
            StoreError, match=r"does not answer .* PREFECT_API_URL=http://127\.0\.0\.1:1"
        ) as refused,
    ):
        wait()
    assert "secret" not in refused.value.line()
    assert not (tmp_path / "prefect").exists()


class _Starting(BaseHTTPRequestHandler):
    """A server that answers from the third time on."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200 if len(self.asked) >= 3 else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_deploy_waits_for_a_server_that_is_starting():
    with HTTPServer(("127.0.0.1", 0), _Starting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wait_for_given(f"http://127.0.0.1:{server.server_port}/api")
        server.shutdown()
    assert _Starting.asked == ["/api/health"] * 3


def test_deploy_without_a_server_is_one_clear_line(
    application: Application, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PREFECT_API_URL", "http://me:secret@127.0.0.1:1/api")
    monkeypatch.setattr(flows.prefect_server, "_GIVEN_TIMEOUT_S", 0.0)
    with pytest.raises(StoreError) as refused:
        register("flywheel", config=str(application.folder / "flywheel.toml"))
    line = refused.value.line()
    assert line.startswith("no Prefect server answers at http://")
    assert "127.0.0.1:1/api" in line
    assert "secret" not in line
    assert "next: prefect server start" in line


def test_process_start_tells_living_from_gone():
    assert process_started_at(os.getpid()) == process_started_at(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert process_started_at(process.pid) is None
