"""Prefect's own API for a local run: started by us, and gone when we are, also after a kill.

Where PREFECT_API_URL is set that server is used and nothing is started. This module must not
import prefect: the server boots while this process is still importing it.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from flows.processes import end_server, remembered, start_server
from tasks.errors import StoreError
from tasks.model.urls import without_password

#: in the state folder: where the server of `flywheel up` is
UP = "up.json"
#: in the environment of the worker of `flywheel up`: where the pages of reports are
REPORTS = "FLYWHEEL_REPORTS"
_STARTUP_TIMEOUT_S = 120.0
#: a server of the user's that was started a moment ago
_GIVEN_TIMEOUT_S = 30.0

#: nothing calls home; DO_NOT_TRACK has the one spelling that both Prefect and MLflow take
QUIET = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_CLI_PROMPT": "false",
}
#: for local runs, unless said otherwise in the environment: people read our own progress and our
#: one-line errors, and no turn waits a minute for each thing that a server that is gone is told
_OF_LOCAL_RUNS = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_CLIENT_MAX_RETRIES": "0",
}


class NoServerError(StoreError):
    """Of ours."""


@contextmanager
def prefect_api(home: Path) -> Iterator[Callable[[], None]]:
    """A Prefect API for the length of the block, its address in this environment.

    Yields a function that waits until it answers: import prefect before calling it, the server
    boots meanwhile. It raises NoServerError where ours does not, StoreError where the user's does
    not.
    """
    names = (*_OF_LOCAL_RUNS, "PREFECT_HOME", "PREFECT_API_URL")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({**_OF_LOCAL_RUNS, **os.environ, **QUIET})
    try:
        with _api(home) as wait:
            yield wait
    finally:  # what this process starts next is no local run, and may ask a server again
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _api(home: Path) -> Iterator[Callable[[], None]]:
    if given := os.environ.get("PREFECT_API_URL"):
        yield lambda: require(given)
        return
    if up := served_by_up(home):
        os.environ["PREFECT_API_URL"] = up
        yield lambda: _require_up(up)
        return
    state = home / "prefect"
    state.mkdir(parents=True, exist_ok=True)
    os.environ["PREFECT_HOME"] = str(state)
    server = OwnServer(state)
    try:
        os.environ["PREFECT_API_URL"] = server.url
        yield server.wait_until_healthy
    finally:
        server.stop()


def served_by_up(home: Path) -> str:
    """The API of `flywheel up` on this state folder; empty where it is not up."""
    server = remembered(home / UP)
    return server.url if server is not None and server.is_running() else ""


class OwnServer:
    """A Prefect API server process on a free loopback port. Starting does not wait for it."""

    def __init__(self, state: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}/api"
        self._log = (state / "server.log").open("wb")
        self._process = start_server(
            [
                sys.executable,
                "-m",
                "uvicorn",
                "--factory",
                "prefect.server.api.server:create_app",
                "--app-dir",
                str(_package_folder("prefect")),
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--log-level",
                "error",
                "--lifespan",
                "on",
            ],
            {
                **os.environ,
                **QUIET,
                "PREFECT_HOME": str(state),
                "PREFECT_UI_ENABLED": "0",
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
            },
            output=self._log,
        )

    def wait_until_healthy(self) -> None:
        """Block until the API answers. Raises NoServerError when it ends or takes too long."""
        deadline = time.monotonic() + _STARTUP_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if answers(f"{self.url}/health"):
                return
            time.sleep(0.1)
        raise NoServerError(
            "Prefect's own server did not start, so the stages run without it",
            received=f"see {self._log.name}",
            next="--inline asks for no server; PREFECT_API_URL names one that runs",
        )

    def stop(self) -> None:
        end_server(self._process)
        self._log.close()


def require(url: str) -> None:
    """Raises StoreError where the user's server does not answer."""
    if not answers(_health(url)):
        raise StoreError(
            "the Prefect server does not answer",
            received=f"PREFECT_API_URL={without_password(url)}",
            next="start it (prefect server start), unset PREFECT_API_URL, or run with --inline",
        )


def _require_up(url: str) -> None:
    if not _comes_up(url):
        raise NoServerError(
            "the Prefect server of flywheel up does not answer, so the stages run without it",
            received=f"{url}, asked for {_GIVEN_TIMEOUT_S:.0f} s",
            next="look where flywheel up runs; --inline asks for no server",
        )


def wait_for_given(url: str) -> None:
    """Block until the user's server answers. Raises StoreError where it does not come up."""
    if not _comes_up(url):
        raise StoreError(
            f"no Prefect server answers at {without_password(url)}",
            received=f"PREFECT_API_URL, asked for {_GIVEN_TIMEOUT_S:.0f} s",
            next="prefect server start, or set PREFECT_API_URL to the server that runs",
        )


def _comes_up(url: str) -> bool:
    """Whether it answers within the time for one that was started a moment ago."""
    deadline = time.monotonic() + _GIVEN_TIMEOUT_S
    while not answers(_health(url)):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True


def _health(api: str) -> str:
    return f"{api.rstrip('/')}/health"


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - an address of ours
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StoreError(f"the package {name} is not installed", next="make setup")
    return Path(spec.origin).parent
