"""The deployments for real: a Prefect server and a process worker on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.nightly import publish
from flows.prefect_server import QUIET
from flows.turn import Outcome
from tasks.model.receipt import Receipt
from tasks.model.verdict import RecordedVerdict
from tasks.run import utc_now
from tasks.settings import parse_settings
from tests.flows.application import Application
from tests.ports import free_port

_START_S = 120.0
_RUN_S = 300.0


@contextmanager
def started(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A process group of our own, stopped by its id at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


def filtered(url: str, what: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = httpx.post(f"{url}/{what}/filter", json={}, timeout=30).json()
    return rows


def run_together(url: str, names: tuple[str, ...]) -> dict[str, str]:
    """Deployment → name of the state that it ended in, all of them asked for at once."""
    ids = {each["name"]: each["id"] for each in filtered(url, "deployments")}
    asked = {
        name: httpx.post(
            f"{url}/deployments/{ids[name]}/create_flow_run", json={}, timeout=30
        ).json()["id"]
        for name in names
    }  # fmt: skip
    deadline, ended = time.monotonic() + _RUN_S, dict.fromkeys(names, "")
    while time.monotonic() < deadline and not all(ended.values()):
        for name, run_id in asked.items():
            state = httpx.get(f"{url}/flow_runs/{run_id}", timeout=30).json()["state"]
            if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                ended[name] = state["name"]
        time.sleep(1)
    return ended


def test_where_mlflow_is_a_server_the_report_is_linked_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    created: dict[str, dict[str, Any]] = {}
    for kind in ("link", "markdown", "table"):
        monkeypatch.setattr(
            f"flows.nightly.create_{kind}_artifact",
            lambda key, **values: created.__setitem__(key, values),
        )
    recorded = Receipt("record", "m", 1, 1, notes={"run_url_path": "/#/experiments/1/runs/m"})
    decided = RecordedVerdict("worse", (), (), (), utc_now())
    names = {"champion": "one", "challenger": "two"}
    outcome = Outcome(
        "r",
        (recorded,),
        {"challenger": decided},
        "m",
        "/reports/r/report.html",
        None,
        releases=names,
    )
    uri = {"mlflow": {"tracking_uri": "https://me:secret@runs.example/"}}
    publish(outcome, parse_settings(uri, base=str(tmp_path)))
    assert created["flywheel-report"]["link"] == "https://runs.example/#/experiments/1/runs/m"
    publish(outcome, parse_settings({}, base=str(tmp_path)))
    assert (
        f"`{socket.gethostname()}`: `/reports/r/report.html`"
        in (created["flywheel-report"]["markdown"])
    )


@pytest.mark.slow
def test_deployment_runs_on_a_worker_and_its_run_is_in_mlflow(
    application: Application, tmp_path: Path
):
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = application.environment(
        **QUIET, PREFECT_HOME=str(tmp_path / "prefect"), PREFECT_API_URL=url
    )
    prefect = [sys.executable, "-m", "prefect"]
    server = [*prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with started(server, environment, tmp_path / "server.log"):
        wait_for(url, tmp_path / "server.log")
        deployed = application.call("deploy", **environment)
        assert deployed.code == 0, deployed.err
        worker = [*prefect, "worker", "start", "--pool", "flywheel"]
        with started(worker, environment, tmp_path / "worker.log"):
            watched = subprocess.run(
                [*prefect, "deployment", "run", "nightly/nightly", "--watch"],
                env=environment, capture_output=True, text=True, timeout=_RUN_S, check=False,
            )  # fmt: skip
            measured = subprocess.run(
                [*prefect, "deployment", "run", "noise-weekly/noise-weekly", "--watch"],
                env=environment, capture_output=True, text=True, timeout=_RUN_S, check=False,
            )  # fmt: skip
            others = run_together(url, ("nightly", "hourly", "morning"))
        assert others == {
            "nightly": "Nothing due",
            "hourly": "Took in 0 calls",
            "morning": "On time",
        }, (tmp_path / "worker.log").read_text()[-4000:]
        runs = [run for run in filtered(url, "flow_runs") if not run["auto_scheduled"]]
        runs = [run for run in runs if run["state_name"] not in others.values()]
        by_name = {each["id"]: each["name"] for each in filtered(url, "deployments")}
        weekly = [run for run in runs if by_name[run["deployment_id"]] == "noise-weekly"]
        manual = [run for run in runs if run not in weekly]
        details = watched.stdout + (tmp_path / "worker.log").read_text()
        assert [run["state_type"] for run in manual] == ["COMPLETED"], details[-4000:]
        assert watched.returncode == 0
        assert measured.returncode == 0, measured.stdout
        assert [run["state_name"] for run in weekly] == ["Measured"]
        artifacts = {artifact["key"]: artifact for artifact in filtered(url, "artifacts")}
        kinds = ("summary", "quarantine", "report", "noise", "suites")
        assert artifacts.keys() >= {f"flywheel-{kind}" for kind in kinds}
        assert (
            "| route | another batch and order | 0 of 12 |" in artifacts["flywheel-noise"]["data"]
        )
        # what another machine shows: no link to a file of the worker, but where it lies
        report = artifacts["flywheel-report"]["data"]
        assert "file://" not in json.dumps(list(artifacts.values()))
        assert f"`{socket.gethostname()}`: `{application.home}/reports/" in report
        assert re.search(r"\| route \| \S+ \| exact", report)  # the verdict stands second
        deployments = {each["name"]: each for each in filtered(url, "deployments")}
        assert {
            name: (each["entrypoint"], each["schedules"][0]["schedule"]["cron"])
            for name, each in deployments.items()
        } == {
            "nightly": ("flows.nightly.nightly", "30 2 * * *"),
            "hourly": ("flows.hourly.hourly", "5 * * * *"),
            "morning": ("flows.morning.morning", "5 7 * * *"),
            "noise-weekly": ("flows.weekly.noise_weekly", "30 20 * * 0"),
        }
        for deployment in deployments.values():
            assert deployment["global_concurrency_limit"]["limit"] == 1
            assert deployment["tags"][0] == "flywheel"
            described = deployment["parameter_openapi_schema"]["properties"]
            assert all(parameter["description"] for parameter in described.values())
    connection = sqlite3.connect(application.home / "mlflow.db")
    try:
        tags = connection.execute("SELECT value FROM tags WHERE key = 'flywheel.run_id'").fetchall()
    finally:
        connection.close()
    result = application.call("report", "--json").json
    assert "Noise floor: not measured, flywheel noise does it." in result["reasons"]
    assert (result["run_id"],) in tags
    verdict = result["verdict"]
    assert manual[0]["name"] == f"challenger vs champion · {verdict.replace('_', ' ').upper()}"
    assert manual[0]["state_name"] == {
        "better": "Passed: better", "no_worse": "Passed: no_worse",
        "worse": "Held: worse", "cannot_tell": "Held: cannot_tell",
    }[verdict]  # fmt: skip
