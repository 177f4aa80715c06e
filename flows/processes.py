"""Servers that we start: remembered in a file, told from others of the same pid, ended whole.

Who shares the file may be in another container or on another machine, where a pid is another's.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

_TETHER = Path(__file__).with_name("tether.py")
_STOP_TIMEOUT_S = 5.0


def _here() -> str:
    """Where a pid is one process: this boot of this machine, and this container of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux: there are no containers either
        return socket.gethostname()


@dataclass(frozen=True, slots=True)
class Server:
    """A server process, leader of a process group of its own."""

    pid: int
    started_at: float | None
    url: str
    where: str = field(default_factory=_here)

    @classmethod
    def of(cls, pid: int, url: str) -> Server:
        return cls(pid, process_started_at(pid), url)

    def is_running(self) -> bool:
        """Here: of one that is elsewhere nothing is known."""
        return (
            self.where == _here()
            and self.started_at is not None
            and process_started_at(self.pid) == self.started_at
        )

    def remember(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))


def start_server(
    argv: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """A command in a process group of its own, which ends with this process even if that is killed.

    The process returned leads the group. Ctrl-C does not reach it.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_TETHER), *argv],
        env=environment,
        stdin=subprocess.PIPE,  # never written to: it closes when we are gone
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def remembered(path: Path) -> Server | None:
    """What the file says, running or not; None where there is none or it cannot be read."""
    try:
        value = json.loads(path.read_text())
        where = str(value.get("where", ""))
        return Server(int(value["pid"]), value["started_at"], str(value.get("url")), where)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def end_server(process: subprocess.Popen[bytes]) -> None:
    """End a server and all it started in its group; whoever does not go in time is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        try:
            os.killpg(process.pid, number)
            while time.monotonic() < deadline:
                process.poll()  # a child is there until its parent has asked for it
                os.killpg(process.pid, 0)
                time.sleep(0.05)
        except ProcessLookupError:
            break
    if process.stdin is not None:
        process.stdin.close()


def process_started_at(pid: int) -> float | None:
    """Start of a process in seconds since boot, None where it is gone.

    From /proc on Linux; elsewhere a living pid counts as started at 0.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        # a zombie is gone, only not yet collected by its parent
        return None if fields[0] == "Z" else int(fields[19]) / os.sysconf("SC_CLK_TCK")
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0.0
    return 0.0
