"""`flywheel up`: Prefect with its worker, MLflow and the reports, on loopback, until it is stopped.

Each is a process that ends with this one, however this one ends (flows/tether.py). What dies is
started again; what dies over and over ends all of it, with the end of its log.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.commands.deploy import POOL, deploy
from flows.commands.ui import RECORD, bound_port, server_elsewhere
from flows.prefect_server import QUIET, REPORTS, UP, answers
from flows.processes import Server, end_server, start_server
from tasks.errors import StoreBusyError, StoreError, UsageError
from tasks.record.pages import index_of
from tasks.settings import Settings, find_config, read_settings
from tasks.store.folder import private

_LOOPBACK = "http://127.0.0.1"
_START_S = 120.0
_LOOK_S = 0.5
#: a process that died so often in such a time will die again
_MAX_DEATHS = 5
_IN_S = 120.0
_SHOWN_LINES = 5
_LEASES = "prefect.server.concurrency.lease_storage.filesystem"


@dataclass(frozen=True, slots=True)
class Ports:
    """0: any that is free."""

    prefect: int = 4200
    mlflow: int = 5000
    reports: int = 4210


@dataclass(slots=True)
class Part:
    """One process of ours. `health`: what answers once it is ready; empty: nothing to ask. `url`:
    where it is, which is written into the file `record`, by which other commands find it. `needs`:
    what has to answer before it is started, `before`: what is done then, each time."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    health: str = ""
    url: str = ""
    record: Path | None = None
    needs: str = ""
    before: Callable[[], None] = lambda: None
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        self.before()
        with self.log.open("ab") as output:
            self.process = start_server(self.argv, self.environment, output)
        if self.record is not None:
            Server.of(self.process.pid, self.url).remember(self.record)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self) -> None:
        if self.process is not None:
            end_server(self.process)
            self.process = None  # its id may be another's by the next time

    def wait_until_ready(self) -> None:
        """Raises StoreError where it ends or takes too long."""
        deadline = time.monotonic() + _START_S
        while self.health and not answers(self.health):
            if not self.is_running or time.monotonic() > deadline:
                raise self.failed("did not start")
            time.sleep(0.2)

    def failed(self, what: str) -> StoreError:
        lines = self.log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        said = " ".join(" ".join(lines).split())[-500:]
        return StoreError(
            f"{self.name} {what}", received=said or "it said nothing", next=f"see {self.log}"
        )


def stay_up(ports: Ports, *, config: str | None) -> int:
    """Until Ctrl-C, SIGTERM or SIGHUP. Raises StoreError where a part cannot be kept alive."""
    file = find_config(config)
    if file is None:
        raise UsageError("no flywheel.toml to work by", next="flywheel init")
    if given := os.environ.get("PREFECT_API_URL"):
        raise UsageError(
            "flywheel up starts a Prefect server of its own",
            received=f"PREFECT_API_URL={given}",
            next="flywheel deploy registers with that server; or unset PREFECT_API_URL",
        )
    settings = read_settings(config)
    home = settings.home_path
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with private(home), _alone(home), ExitStack() as started:
        try:
            parts = _start(settings, file, _free(ports), started)
            _watch(parts)
        except KeyboardInterrupt:
            print("stopping", flush=True)
    return 0


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(home / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreBusyError(
            "flywheel up is at work on this state folder already",
            received=str(home),
            next="open the addresses it printed, or stop it first",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _free(ports: Ports) -> Ports:
    """The same with a number for each. Raises StoreError where one is taken."""
    found = []
    for name in ("prefect", "mlflow", "reports"):
        with bound_port(getattr(ports, name), f"flywheel up --{name}-port") as bound:
            found.append(int(bound.getsockname()[1]))
    return Ports(*found)


def _start(settings: Settings, config: Path, ports: Ports, started: ExitStack) -> list[Part]:
    """All parts, answering, with the deployments registered; where each is, is printed."""
    logs, state = settings.home_path / "up", settings.home_path / "prefect"
    logs.mkdir(exist_ok=True)
    api = f"{_LOOPBACK}:{ports.prefect}/api"
    state.mkdir(exist_ok=True)
    environment = {
        **os.environ, **QUIET, "PREFECT_HOME": str(state), "PREFECT_API_URL": api,
        "PREFECT_UI_API_URL": api, REPORTS: f"{_LOOPBACK}:{ports.reports}",
    }  # fmt: skip
    elsewhere = server_elsewhere(settings)
    parts = [
        _server(ports, environment, logs, settings.home_path / UP),
        _site(settings, config, ports, logs),
    ]
    if not elsewhere:
        parts.append(_mlflow(settings, ports, logs))
    for part in parts:
        part.start()
        started.callback(part.end)
    print(f"starting, about half a minute · logs in {logs}", flush=True)
    for part in parts:
        part.wait_until_ready()
    os.environ.update({name: environment[name] for name in ("PREFECT_HOME", "PREFECT_API_URL")})
    deploy(POOL, config=str(config), command=shlex.join([sys.executable, "-m", "prefect.engine"]))
    worker = _worker(settings, environment, logs)
    worker.start()
    started.callback(worker.end)
    print(
        f"Prefect  {_LOOPBACK}:{ports.prefect}  schedules, and every run as it goes\n"
        f"MLflow   {elsewhere or f'{_LOOPBACK}:{ports.mlflow}'}  comparisons, releases, prompts\n"
        f"reports  {_LOOPBACK}:{ports.reports}  every verdict, the newest first\n"
        "stop with Ctrl-C",
        flush=True,
    )
    return [*parts, worker]


def _server(ports: Ports, environment: Mapping[str, str], logs: Path, record: Path) -> Part:
    argv = [*_prefect("server", "start"), "--host", "127.0.0.1", "--port", str(ports.prefect)]
    api = environment["PREFECT_API_URL"]
    # who has a place must be known after it died, too: of a lease that is not, Prefect ends the run
    of_server = {**environment, "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": _LEASES}
    del of_server["PREFECT_API_URL"]
    return Part("Prefect", argv, of_server, logs / "prefect.log", f"{api}/health", api, record)


def _worker(settings: Settings, environment: Mapping[str, str], logs: Path) -> Part:
    """It starts where the server answers, since what it had begun is taken up before."""
    argv = [*_prefect("worker", "start"), "--pool", POOL, "--type", "process"]
    api = environment["PREFECT_API_URL"]
    part = Part("the worker", argv, environment, logs / "worker.log", needs=f"{api}/health")
    part.before = lambda: _take_up(settings)
    return part


def _take_up(settings: Settings) -> None:
    from flows.cut_off import take_up

    try:
        again = take_up(settings, pool=POOL)
    except Exception as error:  # the server died in this moment; the next flow run looks again
        print(f"what was cut off is not taken up yet ({type(error).__name__})", flush=True)
        return
    if again:
        print(f"cut off before, and goes on: {len(again)} of the flow runs", flush=True)


def _mlflow(settings: Settings, ports: Ports, logs: Path) -> Part:
    from tasks.tracking.server import server_command

    argv, environment = server_command(settings, ports.mlflow)
    url = f"{_LOOPBACK}:{ports.mlflow}"
    record = settings.home_path / RECORD
    return Part("MLflow", argv, environment, logs / "mlflow.log", f"{url}/health", url, record)


def _site(settings: Settings, config: Path, ports: Ports, logs: Path) -> Part:
    folder = index_of(settings).parent
    folder.mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "flows.report_site", str(folder), str(ports.reports), str(config)]
    return Part("the pages of reports", argv, dict(os.environ), logs / "reports.log")


def _prefect(*words: str) -> list[str]:
    return [sys.executable, "-m", "prefect", "--no-prompt", *words]


def _watch(parts: Sequence[Part], now: Callable[[], float] = time.monotonic) -> None:
    """Start again what dies. Raises StoreError where one dies over and over."""
    while True:
        for part in parts:
            if part.is_running:
                continue
            part.end()  # what is left of its group
            if part.needs and not answers(part.needs):
                continue
            part.deaths = [*(at for at in part.deaths if at > now() - _IN_S), now()]
            if len(part.deaths) >= _MAX_DEATHS:
                raise part.failed(f"died {_MAX_DEATHS} times in {_IN_S:.0f} s")
            print(f"{part.name} died and is started again · see {part.log}", flush=True)
            part.start()
        time.sleep(_LOOK_S)
