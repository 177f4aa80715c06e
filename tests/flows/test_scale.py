"""Several machines for real: PostgreSQL, S3, a Prefect server and two workers, each with a state
folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flows.prefect_server import QUIET
from tests.conftest import REPOSITORY
from tests.flows.application import Answer, Application, make_application
from tests.flows.test_deployment import filtered
from tests.flows.test_resume import with_faults
from tests.flows.test_shared_turn import machines, verdict_bytes
from tests.mlflow_home import home_with_mlflow
from tests.ports import free_port
from tests.services import SERVERS, Network, Server, Services, made_services, put_key

pytestmark = [*SERVERS, pytest.mark.slow]
_RUN = ("run", "--inline", "--json")
_WAIT_S = 300.0
#: a third of it may be over when the network is cut
_LONGER_THAN_A_MINUTE_S = 120.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with made_services(tmp_path_factory.mktemp("services")) as services:
        yield services


@pytest.fixture
def services(servers: Services) -> Services:
    return replace(servers.another(os.urandom(4).hex()), lease_s=8.0)


@pytest.fixture
def shared(tmp_path: Path, tiny_model: Path) -> Application:
    return prepared(tmp_path / "application", tiny_model)


@dataclass(frozen=True, slots=True)
class Alone:
    """What a turn came to that nothing befell, on one machine."""

    code: int
    json: dict[str, Any]
    counts: list[int]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Alone:
    folder = tmp_path_factory.mktemp("alone")
    application = prepared(folder / "application", tiny_model)
    turn = application.here(*_RUN)
    return Alone(turn.code, turn.json, counts(application, {}))


def prepared(folder: Path, model: Path) -> Application:
    application = with_faults(make_application(folder, model))
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
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
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
    assert counts(shared, a) == counts(shared, b) == alone.counts
    told = shared.here("verdict", "--json", **b)
    assert told.json["suites"] == alone.json["suites"]


def test_a_turn_cut_off_longer_than_its_lease_is_finished_by_another_and_fenced(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
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
    assert counts(shared, b) == alone.counts


def stopped_at(
    application: Application, stage: str, folder: Path, name: str, environment: dict[str, str]
) -> Stopped:
    """A turn that has come to a stage and waits there, what that changed not yet committed."""
    goes_on = folder / f"{name}.goes-on"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.flows.killed", stage, "before", *_RUN],
        cwd=application.folder,
        env=application.environment(**environment, STOP_WITH=str(goes_on)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Stopped(process, goes_on)


@dataclass(frozen=True, slots=True)
class Stopped:
    process: subprocess.Popen[str]
    goes_on: Path

    def wait(self) -> None:
        here = self.goes_on.with_name(f"{self.goes_on.name}.here")
        wait_until(lambda: here.exists() or self.process.poll() is not None, "it comes there")
        assert self.process.poll() is None, self.process.communicate()

    def end(self) -> Answer:
        self.goes_on.touch()
        out, err = self.process.communicate(timeout=_WAIT_S)
        return Answer(self.process.returncode, out, err)


def test_a_minute_without_the_database_is_waited_out_or_another_takes_over(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    """Two stores, each with a turn on a machine that is cut off, and a second machine."""
    (tmp_path / "long").mkdir()
    (tmp_path / "short").mkdir()
    patient = replace(services.another(os.urandom(4).hex()), lease_s=_LONGER_THAN_A_MINUTE_S)
    long, a, b = behind_a_network(patient, tmp_path / "long")
    short, c, d = behind_a_network(services, tmp_path / "short")
    waits = stopped_at(shared, "plan", tmp_path, "waits", a)
    stale = stopped_at(shared, "evaluate", tmp_path, "stale", c)
    for stopped in (waits, stale):
        stopped.wait()

    for network in (long, short):
        network.cut()
    cut_at = time.monotonic()
    waits.goes_on.touch()
    busy = shared.call(*_RUN, **b)
    assert (busy.code, "held by process" in busy.err) == (4, True), busy.err
    time.sleep(max(0.0, services.lease_s + 1.0 - (time.monotonic() - cut_at)))
    finished = shared.call(*_RUN, **d)
    assert finished.code == alone.code, finished.err
    assert finished.json["resumed_after"] == "plan"
    time.sleep(max(0.0, 60.0 - (time.monotonic() - cut_at)))
    assert (waits.process.poll(), stale.process.poll()) == (None, None)
    for network in (long, short):
        network.mend()

    went_on, fenced = waits.end(), stale.end()
    assert "has not answered for 3 s; it is tried for 120 s" in went_on.err
    assert (fenced.code, fenced.err.count("flywheel: ")) == (4, 1), fenced.err
    assert "another took it over: nothing of this step was kept" in fenced.err
    assert went_on.code == alone.code, went_on.err
    assert verdict_bytes(went_on.json) == verdict_bytes(finished.json) == verdict_bytes(alone.json)
    for store, machine in ((patient, b), (services, c)):
        assert in_the_database(store, "SELECT state FROM flywheel_runs") == [("completed",)]
        assert len(in_the_database(store, "SELECT run_id FROM flywheel_verdicts")) == 1
        assert counts(shared, machine) == alone.counts
    # and the one that was fenced goes on with what the other came to
    told = shared.here("verdict", "--json", **c)
    assert (told.json["run_id"], told.json["suites"]) == (
        finished.json["run_id"],
        alone.json["suites"],
    )


def in_the_database(services: Services, query: str) -> list[tuple[Any, ...]]:
    """What is in the shared database itself, asked beside flywheel."""
    import psycopg

    address = services.database.replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        return connection.execute(query).fetchall()


def test_without_the_object_storage_a_turn_ends_in_one_line_and_the_next_goes_on(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
    (a,) = machines(tmp_path, replace(services, lease_s=4.0), "a")
    storage = services.servers[1]
    turn = stopped_at(shared, "evaluate", tmp_path, "turn", a)
    turn.wait()
    storage.kill()
    try:
        ended = turn.end()
        assert (ended.code, ended.err.count("flywheel: ")) == (4, 1), ended.err
        assert "flywheel: the object storage of the store does not answer" in ended.err
        assert in_the_database(services, "SELECT run_id FROM flywheel_verdicts") == []
        asked = shared.call("doctor", "--json", **a)
        (told,) = [one for one in asked.json["findings"] if one["subject"] == "objects"]
        assert (told["ok"], "does not answer" in told["detail"]) == (False, True)
    finally:
        storage.start()
    finished = shared.call(*_RUN, **a)
    assert finished.code == alone.code, finished.err
    assert finished.json["suites"] == alone.json["suites"]
    assert len(in_the_database(services, "SELECT run_id FROM flywheel_verdicts")) == 1
    assert counts(shared, a) == alone.counts


def test_postgresql_killed_in_a_turn_changes_nothing(
    shared: Application, services: Services, tmp_path: Path, alone: Alone
):
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
    assert counts(shared, a) == alone.counts
    assert len(verdicts_of(shared, a)) == 1


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


def wait_until(is_so: Callable[[], Any], what: str | Callable[[], str]) -> Any:
    """What it is when it is so."""
    deadline = time.monotonic() + _WAIT_S
    while not (found := is_so()):
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.5)
    return found


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
