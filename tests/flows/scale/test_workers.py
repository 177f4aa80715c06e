"""Workers of one Prefect server on stores that they share: PostgreSQL and S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flows.prefect_server import QUIET
from tests.conftest import REPOSITORY
from tests.flows.application import Application
from tests.flows.scale.turns import (
    Alone,
    counts,
    in_the_database,
    prepared,
    verdicts_of,
    wait_until,
)
from tests.flows.test_deployment import filtered
from tests.flows.test_shared_turn import machines
from tests.ports import free_port
from tests.services import SERVERS, Server, Services

pytestmark = [*SERVERS, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Prefect:
    """A server of its own, which others reach with this environment."""

    server: Server
    url: str
    environment: dict[str, str]

    def ask(self, name: str, **wanted: Any) -> str:
        """The id of a flow run of a deployment, of which there is one however often we ask: a
        server that has just begun listens before its database is open to it."""
        wanted = {"idempotency_key": os.urandom(8).hex(), **wanted}
        answers: list[str] = []

        def created() -> str:
            try:
                ids = {each["name"]: each["id"] for each in filtered(self.url, "deployments")}
                path = f"{self.url}/deployments/{ids[name]}/create_flow_run"
                answer = httpx.post(path, json=wanted, timeout=60)
                return str(answer.raise_for_status().json()["id"])
            except (httpx.HTTPError, ValueError, TypeError, KeyError) as exc:
                answers.append(repr(exc))
                return ""

        made: str = wait_until(created, lambda: f"a run of {name} is made: {answers[-1:]}")
        return made

    def state(self, run_id: str) -> str:
        """Empty where the server does not answer."""
        try:
            told = httpx.get(f"{self.url}/flow_runs/{run_id}", timeout=60)
            return str(told.json()["state"]["type"])
        except (httpx.HTTPError, ValueError, KeyError):
            return ""

    def wait_for(self, run_id: str, *states: str) -> None:
        seen: list[str] = []

        def arrived() -> bool:
            if (now := self.state(run_id)) not in seen[-1:]:
                seen.append(now)
            return now in states

        wait_until(arrived, lambda: f"{run_id} is one of {states}, and was {seen}")

    @contextmanager
    def worker(
        self, pool: str, application: Application, home: dict[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Killed with the block, with what it has started."""
        process = subprocess.Popen(
            [*_PREFECT, "worker", "start", "--pool", pool],
            env=application.environment(**self.environment, **home), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


_PREFECT = [sys.executable, "-W", "ignore", "-m", "prefect"]
_LEASES = "prefect.server.concurrency.lease_storage.filesystem"


@contextmanager
def prefect_server(folder: Path, database: str = "") -> Iterator[Prefect]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {**QUIET, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": url}
    own = {**environment, "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": _LEASES}
    if database:
        own["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    command = [*_PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    server = Server(command, port, own)
    server.start()
    try:
        yield Prefect(server, url, environment)
    finally:
        server.kill()


def with_deployment(application: Application, name: str) -> Application:
    """Its night is a deployment of this name, and no other is."""
    recipe = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
    (nightly,) = [one for one in recipe["deployments"] if one["name"] == "nightly"]
    recipe["deployments"] = [{**nightly, "name": name}]
    (application.folder / "prefect.yaml").write_text(yaml.safe_dump(recipe))
    return application


def test_a_killed_worker_s_run_goes_on_on_the_other_machine(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    homes = dict(zip("ab", machines(tmp_path, services, "a", "b"), strict=True))
    with prefect_server(tmp_path) as prefect, ExitStack() as stack:
        deployed = shared.call("deploy", **prefect.environment)
        assert deployed.code == 0, deployed.err
        workers = {
            name: stack.enter_context(prefect.worker("flywheel", shared, home))
            for name, home in homes.items()
        }
        night = prefect.ask("nightly")
        taken = taken_by(tmp_path, "a", "b")
        wait_until(lambda: (tmp_path / taken / "run.pid").exists(), "the turn begins")
        time.sleep(2.0)
        kill_flow_run(tmp_path / taken, workers[taken])
        time.sleep(services.lease_s + 1.0)
        hour = prefect.ask("hourly")  # the other machine looks after it
        prefect.wait_for(hour, "COMPLETED", "FAILED")
        prefect.wait_for(night, "COMPLETED")
    other = homes["b" if taken == "a" else "a"]
    assert len(verdicts_of(shared, other)) == 1
    told = shared.here("verdict", "--json", **other)
    assert told.json["suites"] == alone.json["suites"]
    assert counts(shared, other) == alone.counts


def test_each_part_killed_under_two_turns_of_two_workers_changes_nothing(
    shared: Application, services: Services, tmp_path: Path, alone: Alone, tiny_model: Path
):
    """Two stores on the same servers, of which Prefect has its own tables on PostgreSQL too."""
    another = prepared(tmp_path / "another", tiny_model)
    applications = {"a": with_deployment(shared, "a"), "b": with_deployment(another, "b")}
    stores = {
        name: replace(services.another(os.urandom(4).hex()), lease_s=40.0) for name in applications
    }
    homes = {name: machines(tmp_path, store, name)[0] for name, store in stores.items()}
    of_prefect = services.another(os.urandom(4).hex()).database.replace("psycopg", "asyncpg")
    database, storage = services.servers
    with prefect_server(tmp_path, of_prefect) as prefect, ExitStack() as stack:
        for name, application in applications.items():
            deployed = application.call("deploy", "--pool", name, **prefect.environment)
            assert deployed.code == 0, deployed.err
            stack.enter_context(prefect.worker(name, application, homes[name]))
        nights = {name: prefect.ask(name) for name in applications}
        files = [tmp_path / name / "run.pid" for name in applications]
        wait_until(lambda: all(file.exists() for file in files), "both turns begin")
        for part in (storage, database, prefect.server):
            time.sleep(1.0)
            assert all(file.exists() for file in files), "they are under way"
            part.kill()
            time.sleep(3.0)
            part.start()
        for night in nights.values():
            prefect.wait_for(night, "COMPLETED")
    for name, application in applications.items():
        machine, store = homes[name], stores[name]
        assert in_the_database(store, "SELECT state FROM flywheel_runs") == [("completed",)]
        assert len(in_the_database(store, "SELECT run_id FROM flywheel_verdicts")) == 1
        assert counts(application, machine) == alone.counts
        told = application.here("verdict", "--json", **machine)
        assert told.json["suites"] == alone.json["suites"]


def test_where_prefect_s_server_stays_away_the_night_has_its_verdict_and_the_next_is_free(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    """It goes in the middle of a turn, and is back when that has ended."""
    (a,) = machines(tmp_path, services, "a")
    at_work = tmp_path / "a" / "run.pid"
    with prefect_server(tmp_path) as prefect, ExitStack() as stack:
        assert shared.call("deploy", **prefect.environment).code == 0
        hasty = {**a, "PREFECT_CLIENT_MAX_RETRIES": "1"}  # left alone it waits for a minute
        stack.enter_context(prefect.worker("flywheel", shared, hasty))
        night = prefect.ask("nightly")
        wait_until(at_work.exists, "the turn begins")
        time.sleep(3.0)
        assert at_work.exists()
        prefect.server.kill()
        wait_until(lambda: not at_work.exists(), "the turn ends")
        query = "SELECT r.state, count(*) FROM flywheel_runs r JOIN flywheel_verdicts v "
        query += "ON r.run_id = v.run_id GROUP BY 1"
        assert in_the_database(services, query) == [("completed", 1)]
        prefect.server.start()
        again = prefect.ask("nightly")
        prefect.wait_for(again, "COMPLETED")
        prefect.wait_for(night, "CRASHED")  # it could not tell how it ended
        told = httpx.get(f"{prefect.url}/flow_runs/{again}", timeout=60).json()["state"]
        assert told["name"] == "Nothing due"
    assert in_the_database(services, query) == [("completed", 1)]
    assert counts(shared, a) == alone.counts


def taken_by(folder: Path, *names: str) -> str:
    def holders() -> list[str]:
        return [name for name in names if list((folder / name).glob("flow-runs/*.lock"))]

    wait_until(holders, "a worker takes the run")
    return holders()[0]


def kill_flow_run(home: Path, worker: subprocess.Popen[bytes]) -> None:
    """A machine that is gone: its worker, and the process of the flow run."""
    pid = int((home / "run.pid").read_text().split()[1])  # process 7 on web-1
    os.killpg(worker.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
