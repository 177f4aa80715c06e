"""Services that stores share in tests: a file of SQLite and a folder, or, with `make test-scale`,
Debian's PostgreSQL and moto's S3."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.settings import Settings
from tests.services import SERVERS, Services, made_services, tried_out

Machine = Callable[[str], Settings]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with made_services(tmp_path_factory.mktemp("services")) as services:
        yield services


@pytest.fixture(params=["file", pytest.param("server", marks=SERVERS)])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Services:
    if request.param == "file":
        return tried_out(tmp_path)
    return request.getfixturevalue("servers").another(secrets.token_hex(4))


@pytest.fixture
def machine(services: Services, tmp_path: Path) -> Machine:
    """Settings of a machine of this name, which has the key of the first one."""
    return lambda name: services.machine(tmp_path / name)
