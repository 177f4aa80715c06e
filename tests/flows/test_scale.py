"""Several machines for real: PostgreSQL, S3, a Prefect server and two workers, each with a state
folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.prefect_server import QUIET
from tests.flows.application import Application, make_application
from tests.flows.test_deployment import filtered, started, wait_for
from tests.flows.test_resume import with_faults
from tests.flows.test_shared_turn import machines, verdict_bytes
from tests.mlflow_home import home_with_mlflow
from tests.ports import free_port
from tests.services import SERVERS, Network, Services, made_services, put_key

pytestmark = [*SERVERS, pytest.mark.slow]
_RUN = ("run", "--inline", "--json")
_WAIT_S = 300.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with made_services(tmp_path_factory.mktemp("services")) as services:
        yield services


@pytest.fixture
def services(servers: Services) -> Services:
    return replace(servers.another(os.urandom(4).hex()), lease_s=8.0)


@pytest.fixture
def shared(tmp_path: Path, tiny_model: Path) -> Application:
    application = with_faults(make_application(tmp_path / "application", tiny_model))
    home_with_mlflow(application.home)
    put_key(application.home)
    return application


def verdicts_of(application: Application, environment: dict[str, str]) -> list[list[Any]]:
    query = "SELECT run_id, role, verdict FROM verdicts ORDER BY ALL"
    rows: list[list[Any]] = application.here("sql", query, "--json", **environment).json["rows"]
    return rows


def counts(application: Application, environment: dict[str, str]) -> list[int]:
    tables = ("requests", "feedback", "dead_letters", "quarantine", "samples", "completions",
              "scores", "landing")  # fmt: skip
    query = "SELECT " + ", ".join(f"(SELECT count(*) FROM {name})" for name in tables)
    rows: list[list[int]] = application.here("sql", query, "--json", **environment).json["rows"]
    return rows[0]


def behind_a_network(
    services: Services, folder: Path
) -> tuple[Network, dict[str, str], dict[str, str]]:
    """A network that can be cut, the environment of a machine behind it, and of one that is not."""
    network = Network(services.servers[0].port)
    own, cut = (f":{port}/" for port in (services.servers[0].port, network.port))
    (a,) = machines(folder, replace(services, database=services.database.replace(own, cut)), "a")
    (b,) = machines(folder, services, "b")
    return network, a, b


def test_two_turns_at_once_and_a_network_cut_come_to_one_verdict_each(
    shared: Application, services: Services, tmp_path: Path
):
    alone = shared.here(*_RUN)
    network, a, b = behind_a_network(services, tmp_path)
    first = shared.start(*_RUN, **a)
    while not (tmp_path / "a" / "run.pid").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    time.sleep(2.0)
    second = shared.call(*_RUN, **b)  # one at a time
    assert second.code == 4
    assert "held by process" in second.err
    # the database is away for a while, shorter than the lease
    network.cut()
    threading.Timer(4.0, network.mend).start()
    _, err = first.communicate(timeout=_WAIT_S)
    assert first.returncode == alone.code, err
    again = shared.call(*_RUN, **b)
    assert again.code == alone.code, again.err
    assert len(verdicts_of(shared, b)) == 2
    assert counts(shared, a) == counts(shared, b) == counts(shared, {})
    told = shared.here("verdict", "--json", **b)
    assert told.json["suites"] == alone.json["suites"]


def test_a_turn_cut_off_longer_than_its_lease_is_finished_by_another_and_fenced(
    shared: Application, services: Services, tmp_path: Path
):
    alone = shared.here(*_RUN)
    network, a, b = behind_a_network(services, tmp_path)
    first = shared.start(*_RUN, **a)
    while not (tmp_path / "a" / "run.pid").exists():
        time.sleep(0.1)
    time.sleep(3.0)
    network.cut()
    time.sleep(services.lease_s + 2.0)
    finished = shared.call(*_RUN, **b)
    assert finished.code == alone.code, finished.err
    network.mend()
    _, err = first.communicate(timeout=_WAIT_S)
    assert first.returncode == 4, err
    assert verdict_bytes(finished.json) == verdict_bytes(alone.json)
    assert len(verdicts_of(shared, b)) == 1
    assert counts(shared, b) == counts(shared, {})


def test_postgresql_killed_in_a_turn_changes_nothing(
    shared: Application, services: Services, tmp_path: Path
):
    alone = shared.here(*_RUN)
    (a,) = machines(tmp_path, replace(services, lease_s=30.0), "a")
    turn = shared.start(*_RUN, **a)
    while not (tmp_path / "a" / "run.pid").exists():
        time.sleep(0.1)
    for _ in range(2):
        time.sleep(3.0)
        services.servers[0].kill()
        time.sleep(1.0)
        services.servers[0].start()
    _, err = turn.communicate(timeout=_WAIT_S)
    assert turn.returncode == alone.code, err
    assert counts(shared, a) == counts(shared, {})
    assert len(verdicts_of(shared, a)) == 1


def test_a_killed_worker_s_run_goes_on_on_the_other_machine(
    shared: Application, services: Services, tmp_path: Path
):
    alone = shared.here(*_RUN)
    homes = machines(tmp_path, services, "a", "b")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = shared.environment(
        **QUIET, PREFECT_HOME=str(tmp_path / "prefect"), PREFECT_API_URL=url
    )
    prefect = [sys.executable, "-W", "ignore", "-m", "prefect"]
    server = [*prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    worker = [*prefect, "worker", "start", "--pool", "flywheel"]
    with started(server, environment, tmp_path / "server.log"):
        wait_for(url, tmp_path / "server.log")
        deployed = shared.call("deploy", **environment)
        assert deployed.code == 0, deployed.err
        workers = [
            subprocess.Popen(
                worker, env={**environment, **home}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )
            for home in homes
        ]  # fmt: skip
        try:
            night = ask_for(url, "nightly")
            taken = taken_by(tmp_path, "a", "b")
            wait_until(lambda: (tmp_path / taken / "run.pid").exists(), "the turn begins")
            time.sleep(2.0)
            kill_flow_run(tmp_path / taken, workers["ab".index(taken)])
            time.sleep(services.lease_s + 1.0)
            hour = ask_for(url, "hourly")  # the other machine looks after it
            wait_until(lambda: state(url, hour) in ("COMPLETED", "FAILED"), "the hour ends")
            wait_until(lambda: state(url, night) == "COMPLETED", "the night goes on")
        finally:
            for process in workers:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    other = homes[1 - "ab".index(taken)]
    assert len(verdicts_of(shared, other)) == 1
    told = shared.here("verdict", "--json", **other)
    assert told.json["suites"] == alone.json["suites"]
    assert counts(shared, other) == counts(shared, {})


def ask_for(url: str, name: str) -> str:
    ids = {each["name"]: each["id"] for each in filtered(url, "deployments")}
    asked = httpx.post(f"{url}/deployments/{ids[name]}/create_flow_run", json={}, timeout=60)
    return str(asked.json()["id"])


def state(url: str, run_id: str) -> str:
    return str(httpx.get(f"{url}/flow_runs/{run_id}", timeout=60).json()["state"]["type"])


def wait_until(is_so: Any, what: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def taken_by(folder: Path, *names: str) -> str:
    def holders() -> list[str]:
        return [name for name in names if list((folder / name).glob("flow-runs/*.lock"))]

    wait_until(holders, "a worker takes the run")
    return holders()[0]


def kill_flow_run(home: Path, worker: subprocess.Popen[bytes]) -> None:
    """A machine that is gone: its worker, and the process of the flow run."""
    pid = int((home / "run.pid").read_text())
    os.killpg(worker.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
