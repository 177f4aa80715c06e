from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.flows.application import Application
from tests.flows.scale.turns import RUN, Alone, counts, prepared
from tests.services import Services, made_services


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


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Alone:
    folder = tmp_path_factory.mktemp("alone")
    application = prepared(folder / "application", tiny_model)
    turn = application.here(*RUN)
    return Alone(turn.code, turn.json, counts(application, {}))
