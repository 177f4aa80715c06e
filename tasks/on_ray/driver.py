"""The process beside this one that drives Ray: started with the first work, kept for the next, and
ended with this process or after a while without work."""

from __future__ import annotations

import atexit
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tasks.errors import FlywheelError
from tasks.on_ray.messages import Close, Done, Look, Node, Nodes, Opener, Start
from tasks.on_ray.place import Place
from tasks.work_folders import work_folder
from tasks.workers.trouble import Trouble

#: in the state folder: what Ray itself says
LOG_FILE = "ray.log"
_ROOT = Path(__file__).resolve().parents[2]
_STOP_S = 15.0
#: paths of sockets may be 107 bytes long, and Ray's take 80 below its folder
_LONGEST_FOLDER = 24


class TroubleError(Exception):
    """Ray, or an actor, cannot do what was asked."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.what)
        self.trouble = trouble


def cannot(place: Place, trouble: Trouble) -> FlywheelError:
    """Trouble that another moment may cure, as an error for people."""
    return FlywheelError(f"Ray cannot answer: {trouble.what}", next=_next(place))


def _next(place: Place) -> str:
    again = "run the same command again: it goes on after what was stored"
    return f'use {place.key} = "here", or {again}'


class Driver:
    """Raises FlywheelError where it, or Ray, is not there any more, and TroubleError."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._log = place.home / LOG_FILE
        self._folder = ExitStack()
        folder = "" if place.address else str(self._folder.enter_context(own_folder("fwray")))
        ours, theirs = socket.socketpair()
        self._pipe = Connection(ours.detach())
        with theirs, open(self._log, "wb", opener=_owner_only) as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.host", str(theirs.fileno())],
                env=environment(is_local=not place.address),
                stdin=subprocess.PIPE,  # never written to: it closes when we are gone
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is ours
            )
        try:
            self.ask(Start(place.address, folder), Done)
        except BaseException:
            self.end()
            raise

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None and not self._pipe.closed

    def open(self, wanted: Opener, kind: type[Any]) -> Any:
        """The actors of a pool, of which there is one at a time."""
        try:
            return self.ask(wanted, kind)
        except BaseException:
            self.end()
            raise

    def look(self) -> tuple[Node, ...]:
        nodes: Nodes = self.ask(Look(), Nodes)
        return nodes.nodes

    def close(self) -> None:
        if self.is_alive:
            with suppress(FlywheelError):
                self.send(Close())

    def end(self) -> None:
        """And all that it started."""
        self._pipe.close()
        with suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        end_session(self.process.pid)
        self._folder.close()

    def ask(self, message: object, kind: type[Any]) -> Any:
        self.send(message)
        answer = self.receive()
        assert isinstance(answer, kind), answer
        return answer

    def send(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            raise self._gone() from None

    def receive(self) -> Any:
        try:
            message = self._pipe.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        if isinstance(message, Trouble):
            raise TroubleError(message)
        return message

    def _gone(self) -> FlywheelError:
        return FlywheelError(
            "Ray has ended: its head, or the process that drives it, was killed or broke",
            received=f"exit code {self.process.poll()}, see {self._log}",
            next=_next(self._place),
        )


#: by `Place.on`
drivers: dict[str, Driver] = {}


def driver_of(place: Place) -> Driver:
    known = drivers.get(place.on)
    if known is not None and known.is_alive:
        return known
    if not drivers:
        atexit.register(end_all)
    if known is not None:
        known.end()
    try:
        drivers[place.on] = made = Driver(place)
    except TroubleError as error:
        raise cannot(place, error.trouble) from None
    return made


def opened(place: Place, wanted: Opener, kind: type[Any]) -> tuple[Driver, Any]:
    """With a new Ray where that of earlier work does not answer any more. Raises TroubleError,
    FlywheelError."""
    is_known = place.on in drivers and drivers[place.on].is_alive
    try:
        driver = driver_of(place)
        return driver, driver.open(wanted, kind)
    except TroubleError as error:
        if error.trouble.is_usage or error.trouble.is_model or not is_known:
            raise
    except FlywheelError:
        if not is_known:
            raise
    driver = driver_of(place)
    return driver, driver.open(wanted, kind)


def end_all() -> None:
    """Every Ray that this process has started."""
    while drivers:
        drivers.popitem()[1].end()


def nodes_of(place: Place) -> tuple[Node, ...]:
    """What there is in the cluster. Raises FlywheelError where it does not answer."""
    return driver_of(place).look()


def end_session(leader: int) -> None:
    """Whoever is left of what a session's leader has started. Ray's own end with it, some of them
    only after a while."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            session = path.read_text().rpartition(")")[2].split()[3]
            if int(session) == leader:
                os.kill(int(path.parent.name), signal.SIGKILL)


def own_folder(name: str) -> AbstractContextManager[Path]:
    """A new one for this process alone, whose path is short enough for Ray."""
    root = Path(tempfile.gettempdir())
    root = root if len(str(root)) <= _LONGEST_FOLDER else Path("/tmp")  # noqa: S108 - of our own
    return work_folder(root, f"{name}-")


def environment(*, is_local: bool) -> dict[str, str]:
    paths = [str(_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(paths)}
    if is_local:
        quiet |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
            # else it takes 127.0.0.1 for this machine's other address, and listens on all there are
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            # its own choice is 15 less favourable than ours: actors would be last on this machine
            "RAY_worker_niceness": "0",
        }
    without = ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH") if is_local else ()
    return {k: v for k, v in os.environ.items() if k not in without} | quiet


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
