"""A model that actors of Ray hold, as a Backend of this process.

Ray itself runs in a process beside this one (host.py), started with the first model, kept for the
next one, and ended with this process or after a while without work.
"""

from __future__ import annotations

import atexit
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engine import EngineError
from tasks.backends.base import Ask, BackendFacts, Meter, OnProgress, Reply
from tasks.backends.pool.cutting import cut, shard_name
from tasks.backends.pool.messages import (
    Answer,
    Close,
    Done,
    Given,
    Hello,
    Look,
    Model,
    Node,
    Nodes,
    Open,
    Opened,
    Start,
    Trouble,
)
from tasks.backends.pool.place import Place
from tasks.backends.pool.spool import write_shard
from tasks.errors import FlywheelError, UsageError
from tasks.work_folders import work_folder

#: in the state folder: what Ray itself says
LOG_FILE = "ray.log"
_ROOT = Path(__file__).resolve().parents[3]
_STOP_S = 15.0
#: paths of sockets may be 107 bytes long, and Ray's take 80 below its folder
_LONGEST_FOLDER = 24
_NEXT = 'set evaluate.on = "here", or run the same command again: it goes on after what was stored'


class PoolBackend:
    """Raises EngineError where the model cannot be used, UsageError where the cluster is another
    than the release was resolved for, FlywheelError where Ray does not answer."""

    def __init__(self, place: Place, model: Model) -> None:
        self._place = place
        started = time.monotonic()
        self._host, self._actors = _opened(place, Open(model, place.cores, place.max_actors))
        self._identity = model.identity
        self._load_s = time.monotonic() - started
        self._run_s = 0.0

    def chunk_size(self, wished: int) -> int:
        return wished * len(self._actors) * self._place.rounds

    def answer(self, asks: Sequence[Ask], on_progress: OnProgress, meter: Meter) -> list[Reply]:
        started = time.monotonic()
        spool = meter.spool()
        shards = tuple(cut(asks, len(self._actors), self._place.rounds))
        replies: dict[int, Reply] = {}
        try:
            for given in self._host.answer(Answer(tuple(asks), shards, spool)):
                if not given.is_written:
                    name = shard_name([asks[place] for place in given.places])
                    write_shard(spool, name, given.places, given.replies)
                replies |= zip(given.places, given.replies, strict=True)
                on_progress(len(replies), len(asks))
        except BaseException:
            self._host.end()
            raise
        finally:
            self._run_s += time.monotonic() - started
        return [replies[place] for place in range(len(asks))]

    def facts(self) -> BackendFacts:
        identity = self._identity
        return BackendFacts(
            identity.device_class, identity.dtype, self._load_s, self._run_s, len(self._actors)
        )

    def close(self) -> None:
        self._host.close()


class _Host:
    """The process beside this one. Raises FlywheelError where it, or Ray, is not there any more."""

    def __init__(self, place: Place) -> None:
        self._log = place.home / LOG_FILE
        self._folder = ExitStack()
        folder = "" if place.address else str(self._folder.enter_context(folder_of_ray()))
        ours, theirs = socket.socketpair()
        self._pipe = Connection(ours.detach())
        with theirs, open(self._log, "wb", opener=_owner_only) as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.host", str(theirs.fileno())],
                env=_environment(is_local=not place.address),
                stdin=subprocess.PIPE,  # never written to: it closes when we are gone
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is ours
            )
        try:
            self._ask(Start(place.address, folder), Done)
        except BaseException:
            self.end()
            raise

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None and not self._pipe.closed

    def open(self, wanted: Open) -> tuple[Hello, ...]:
        try:
            opened: Opened = self._ask(wanted, Opened)
        except BaseException:
            self.end()
            raise
        return opened.actors

    def answer(self, asked: Answer) -> Any:
        """Given, one a shard."""
        self._send(asked)
        while not isinstance(given := self._receive(), Done):
            assert isinstance(given, Given)
            yield given

    def look(self) -> tuple[Node, ...]:
        nodes: Nodes = self._ask(Look(), Nodes)
        return nodes.nodes

    def close(self) -> None:
        if self.is_alive:
            with suppress(FlywheelError):
                self._send(Close())

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
        _end_session(self.process.pid)
        self._folder.close()

    def _ask(self, message: object, kind: type[Any]) -> Any:
        self._send(message)
        answer = self._receive()
        assert isinstance(answer, kind), answer
        return answer

    def _send(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            raise self._gone() from None

    def _receive(self) -> Any:
        try:
            message = self._pipe.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        if isinstance(message, Trouble):
            if message.is_model:
                raise EngineError(message.what)
            if message.is_usage:
                raise UsageError(
                    "the cluster cannot answer for this release, whose answers are kept as those "
                    f"of the engine here: {message.what}",
                    allowed="one device class, one build and one set of packages on all nodes and "
                    "where the command is given",
                    next='give the command on a node like the others, or set evaluate.on = "here"',
                )
            raise FlywheelError(f"Ray cannot answer: {message.what}", next=_NEXT)
        return message

    def _gone(self) -> FlywheelError:
        return FlywheelError(
            "Ray has ended: its head, or the process that drives it, was killed or broke",
            received=f"exit code {self.process.poll()}, see {self._log}",
            next=_NEXT,
        )


_hosts: dict[str, _Host] = {}


def _host(place: Place) -> _Host:
    known = _hosts.get(place.on)
    if known is not None and known.is_alive:
        return known
    if not _hosts:
        atexit.register(end_all)
    if known is not None:
        known.end()
    _hosts[place.on] = made = _Host(place)
    return made


def _opened(place: Place, wanted: Open) -> tuple[_Host, tuple[Hello, ...]]:
    """With a new Ray where that of an earlier model does not answer any more."""
    is_known = place.on in _hosts and _hosts[place.on].is_alive
    try:
        host = _host(place)
        return host, host.open(wanted)
    except UsageError:
        raise
    except FlywheelError:
        if not is_known:
            raise
    host = _host(place)
    return host, host.open(wanted)


def end_all() -> None:
    """Every Ray that this process has started."""
    while _hosts:
        _hosts.popitem()[1].end()


def nodes_of(place: Place) -> tuple[Node, ...]:
    """What there is in the cluster. Raises FlywheelError where it does not answer."""
    return _host(place).look()


def _end_session(leader: int) -> None:
    """Whoever is left of what a session's leader has started. Ray's own end with it, some of them
    only after a while."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            session = path.read_text().rpartition(")")[2].split()[3]
            if int(session) == leader:
                os.kill(int(path.parent.name), signal.SIGKILL)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def folder_of_ray() -> AbstractContextManager[Path]:
    """A new one, whose path is short enough."""
    root = Path(tempfile.gettempdir())
    root = root if len(str(root)) <= _LONGEST_FOLDER else Path("/tmp")  # noqa: S108 - of our own
    return work_folder(root, "fwray-")


def _environment(*, is_local: bool) -> dict[str, str]:
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
