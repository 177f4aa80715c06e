"""The processes of Ray as tests find and end them, and a cluster that somebody else has started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from flows.processes import process_started_at
from tasks.errors import FlywheelError
from tasks.on_ray import driver
from tests.conftest import REPOSITORY
from tests.ports import free_port

_LEFT_S = 60.0
#: what is left of a Ray may answer for a while, and then be gone
_TRIES = 3
Progress = Callable[..., None]
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    started_at: float | None
    line: str

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def family_of(pid: int) -> list[Process]:
    """All that a process has started, and what these have."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.name))
    family, open_ = [], [pid]
    while open_:
        for child in children.get(open_.pop(), []):
            open_.append(child)
            with suppress(OSError):
                line = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
                family.append(Process(child, process_started_at(child), line))
    return family


def of_ray() -> list[Process]:
    return family_of(driver.drivers["ray"].process.pid)


def named(part: str) -> Process:
    return next(one for one in of_ray() if part in one.line)


def gone(family: Sequence[Process]) -> bool:
    deadline = time.monotonic() + _LEFT_S
    while time.monotonic() < deadline:
        if all(
            process_started_at(one.pid) in (None, 0.0)
            or process_started_at(one.pid) != one.started_at
            for one in family
        ):
            return True
        time.sleep(0.2)
    return False


def once(at: int, what: Callable[[], None]) -> Progress:
    """A progress callback that does something when so many answers are there."""
    left = [what]

    def progress(stage: str, done: int, total: int | None, note: str = "") -> None:
        if done >= at and left:
            left.pop()()

    return progress


def done_in_spite_of(part: str, stage: Callable[[Progress], Told]) -> tuple[Told, list[str]]:
    """What a stage comes to of which a part of Ray's head is killed at its first progress, given
    again until it is done; and what whoever ran it was told to do each time."""
    family: list[Process] = []

    def kill() -> None:
        family.extend(of_ray())
        host = driver.drivers["ray"].process
        (host if part == "on_ray.host" else named(part)).kill()

    progress, errors = once(1, kill), []
    for _ in range(_TRIES):
        try:
            told = stage(progress)
            break
        except FlywheelError as error:
            errors.append(error)
    else:
        raise errors[-1]
    assert errors or part != "on_ray.host"
    assert {error.exit_code for error in errors} <= {4}
    assert all("goes on after what was stored" in error.next for error in errors)
    assert not errors or gone(family)
    return told, [error.next for error in errors]


def ended(command: Sequence[str]) -> tuple[int, str]:
    """Exit code and messages of a program that starts a Ray with two actors and is stopped: nothing
    that it has started is left."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
    family: list[Process] = []
    while process.poll() is None:
        family = max(family, family_of(process.pid), key=len)
        time.sleep(0.2)
    told = process.communicate()[1]
    assert len(family) > 5, told  # Ray's, and two actors
    assert gone(family)
    return process.returncode, told


def nobody_is_left() -> Iterator[None]:
    """Of what a module started, after it."""
    yield
    family = [one for each in driver.drivers.values() for one in family_of(each.process.pid)]
    driver.end_all()
    assert gone(family)


def a_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A head that somebody else has started, on this machine, with a token."""
    # as docs/ray.md says: else the server of a client dies now and then (ray#63202); and without
    # the last one it takes another address of this machine than it was told
    for name, value in {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 64,
                        "GRPC_ENABLE_FORK_SUPPORT": "0",
                        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    port, stack = free_port(), ExitStack()
    folder = stack.enter_context(driver.own_folder("fwray"))
    options = [
        "--head", "--block", "--num-cpus=2", "--node-ip-address=127.0.0.1",
        f"--port={free_port()}", f"--ray-client-server-port={port}",
        "--include-dashboard=false", f"--temp-dir={folder}",
        "--object-store-memory=100000000", "--disable-usage-stats",
    ]  # fmt: skip
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not _answers(port) and time.monotonic() < deadline:
        time.sleep(0.5)
    yield f"ray://127.0.0.1:{port}"
    driver.end_all()
    head.terminate()
    head.wait(60)
    driver.end_session(head.pid)
    stack.close()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
