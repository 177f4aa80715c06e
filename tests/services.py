"""The services of a shared store as tests have them, and a network in between that can be cut."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tasks.settings import Settings
from tasks.settings.store import StoreSettings
from tasks.store.control.pseudonym_key import KEY_FILE
from tests.conftest import REPOSITORY
from tests.ports import free_port

KEY = bytes(range(32))
#: of tests that start them
SERVERS = [pytest.mark.scale, pytest.mark.needs("psycopg", "moto", "s3fs")]
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@dataclass(frozen=True, slots=True)
class Services:
    database: str
    objects: str
    lease_s: float = 20.0
    servers: tuple[Server, ...] = ()

    def store(self) -> StoreSettings:
        return StoreSettings(database=self.database, objects=self.objects, lease_s=self.lease_s)

    def environment(self) -> dict[str, str]:
        return {
            "FLYWHEEL_STORE__DATABASE": self.database,
            "FLYWHEEL_STORE__OBJECTS": self.objects,
            "FLYWHEEL_STORE__LEASE_S": str(self.lease_s),
        }

    def machine(self, home: Path) -> Settings:
        put_key(home)
        return Settings(home=str(home), store=self.store())

    def another(self, name: str) -> Services:
        """A database and a place for objects of its own on the same servers."""
        base = self.database.rpartition("/")[0]
        _psql(base, f"CREATE DATABASE t{name}")
        return replace(self, database=f"{base}/t{name}", objects=f"{self.objects}/{name}")


def put_key(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / KEY_FILE).write_bytes(KEY)


def tried_out(folder: Path) -> Services:
    return Services(f"sqlite:///{folder}/shared.sqlite", f"file://{folder}/objects")


@contextmanager
def made_services(folder: Path) -> Iterator[Services]:
    """PostgreSQL and S3 on loopback, ended with the block."""
    with postgresql(folder) as database, s3(folder) as storage:
        yield Services(
            f"postgresql+psycopg://postgres@127.0.0.1:{database.port}/postgres",
            "s3://store",
            servers=(database, storage),
        )


@dataclass(slots=True)
class Server:
    """A server of one process group that can be killed and started again."""

    command: list[str]
    port: int
    environment: dict[str, str]
    user: int | None = None
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Again, where it ends: those that a killed PostgreSQL had started live on for a moment,
        and another does not start beside them."""
        for _ in range(100):
            self.process = subprocess.Popen(
                self.command, env={**os.environ, **self.environment}, user=self.user,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            if self._listens():
                return
            time.sleep(0.3)
        raise AssertionError(f"it does not start: {self.command}")

    def _listens(self, timeout_s: float = 60.0) -> bool:
        """Whether somebody can connect before it ends."""
        assert self.process is not None
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            time.sleep(0.1)
        return False

    def kill(self) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def postgresql(folder: Path) -> Iterator[Server]:
    """As user postgres where we are root, which it refuses to run as."""
    import pwd
    import tempfile

    assert _POSTGRES, "apt-get install postgresql"
    user = pwd.getpwnam("postgres").pw_uid if os.getuid() == 0 else None
    data = Path(tempfile.mkdtemp(prefix="flywheel-postgresql-"))
    try:
        if user is not None:
            os.chown(data, user, -1)
        subprocess.run(
            [_POSTGRES[-1] / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"],
            check=True, user=user, cwd=data, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        port = free_port()
        command = [str(_POSTGRES[-1] / "postgres"), "-D", str(data), "-p", str(port),
                   "-k", str(data), "-c", "listen_addresses=127.0.0.1"]  # fmt: skip
        server = Server(command, port, {}, user)
        server.start()
        try:
            _psql(f"postgresql+psycopg://postgres@127.0.0.1:{port}", "SELECT 1")
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _psql(base: str, statement: str) -> None:
    import sqlalchemy as sa

    engine = sa.create_engine(f"{base}/postgres", isolation_level="AUTOCOMMIT")
    for tries_left in reversed(range(100)):  # it listens before it answers
        try:
            with engine.connect() as connection:
                connection.execute(sa.text(statement))
            break
        except sa.exc.OperationalError:
            if not tries_left:
                raise
            time.sleep(0.1)
    engine.dispose()


@contextmanager
def s3(folder: Path) -> Iterator[Server]:
    """Its address and keys are in the environment until the block ends. A file system that was made
    before has another's address: fsspec keeps one a process."""
    from fsspec import get_filesystem_class

    forget = get_filesystem_class("s3").clear_instance_cache
    port, kept = free_port(), folder / "s3"
    kept.mkdir()
    command = [sys.executable, "-W", "ignore", "-m", "tests.lasting_s3", str(port), str(kept)]
    server = Server(command, port, {"PYTHONPATH": str(REPOSITORY)})
    server.start()
    names = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
             "AWS_DEFAULT_REGION": "us-east-1",
             "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}  # fmt: skip
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        forget()
        make_bucket(port)
        yield server
    finally:
        server.kill()
        forget()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def make_bucket(port: int) -> None:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/store", method="PUT")
    urllib.request.urlopen(asked, timeout=30).close()


class Network:
    """Between a client and a server on loopback; cut, it swallows what is sent in silence."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._is_whole = threading.Event()
        self._is_whole.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_whole.clear()

    def mend(self) -> None:
        self._is_whole.set()

    def close(self) -> None:
        self._listening.close()
        self.mend()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._is_whole.wait()
        to = ("127.0.0.1", self._to_port)
        with suppress(OSError), client, socket.create_connection(to) as server:
            back = threading.Thread(target=self._carry, args=(server, client), daemon=True)
            back.start()
            self._carry(client, server)
            back.join()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._is_whole.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
