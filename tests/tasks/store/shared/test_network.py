"""Services that go away, are killed and come back; networks that swallow everything."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import StoreError, StoreFencedError, StoreUnreachableError
from tasks.store.opening import open_store
from tests.services import SERVERS, Network, Services
from tests.tasks.store.shared.rows import change, content, runs

pytestmark = SERVERS


@pytest.fixture
def services(servers: Services, tmp_path: Path) -> Services:
    name = tmp_path.name.replace("-", "_").lower()[-20:] + os.urandom(2).hex()
    return replace(servers.another(name), lease_s=6.0)


@pytest.fixture
def network(services: Services) -> Iterator[Network]:
    made = Network(services.servers[0].port)
    yield made
    made.close()


def behind(services: Services, network: Network) -> Services:
    port = services.servers[0].port
    return replace(services, database=services.database.replace(f":{port}/", f":{network.port}/"))


def test_a_partition_longer_than_the_lease_fences_the_one_behind_it(
    services: Services, network: Network, tmp_path: Path
):
    """The other machine is another process: what one process lost, all of it lost."""
    a = behind(services, network).machine(tmp_path / "a")
    b = services.machine(tmp_path / "b")
    with open_store(a) as store:
        change(store, "run")
        network.cut()
        started = time.monotonic()
        with open_store(b, lock_timeout_s=30.0) as other:  # waits until the lease has ended
            assert time.monotonic() - started > 2.0
            change(other, "another")
        threading.Timer(1.0, network.mend).start()
        with pytest.raises(StoreFencedError, match="took it over"):
            change(store, "late")
    assert runs(a) == runs(b) == {"run", "another"}
    assert content(a) == content(b)


def test_a_partition_shorter_than_the_lease_is_waited_out(
    services: Services, network: Network, tmp_path: Path
):
    a = behind(services, network).machine(tmp_path / "a")
    with open_store(a) as store:
        change(store, "run")
        network.cut()
        threading.Timer(4.0, network.mend).start()
        change(store, "after")
    assert runs(services.machine(tmp_path / "b")) == {"run", "after"}


def test_a_database_that_stays_away_is_one_clear_line(
    services: Services, network: Network, tmp_path: Path
):
    short = replace(behind(services, network), lease_s=2.0)
    a = short.machine(tmp_path / "a")
    with open_store(a) as store:
        change(store, "run")
    network.cut()
    with pytest.raises(StoreUnreachableError, match="the database of the store does not answer"):
        content(a)
    network.mend()
    assert runs(a) == {"run"}


def test_postgresql_killed_and_started_again_loses_nothing(services: Services, tmp_path: Path):
    patient = replace(services, lease_s=30.0)
    a, b = patient.machine(tmp_path / "a"), patient.machine(tmp_path / "b")
    server = services.servers[0]
    with open_store(a) as store:
        change(store, "run")
        server.kill()
        threading.Timer(1.0, server.start).start()
        change(store, "after")
    assert content(a) == content(b)
    assert runs(b) == {"run", "after"}


def test_s3_that_hangs_is_waited_for_and_one_that_stays_away_is_told(
    services: Services, tmp_path: Path
):
    patient = replace(services, lease_s=30.0)
    a = patient.machine(tmp_path / "a")
    storage = services.servers[1]
    assert storage.process is not None
    with open_store(a) as store:
        change(store, "run")
        os.killpg(storage.process.pid, signal.SIGSTOP)
        wake = threading.Timer(3.0, os.killpg, (storage.process.pid, signal.SIGCONT))
        wake.start()
        change(store, "after")
    assert runs(services.machine(tmp_path / "b")) == {"run", "after"}
    nowhere = replace(services, objects="s3://no-such-bucket", lease_s=2.0)
    with (
        pytest.raises(StoreError, match="an object of the store is not"),
        open_store(nowhere.machine(tmp_path / "c")) as store,
    ):
        change(store, "lost")
