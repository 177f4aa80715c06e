from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.application import Application, make_application
from tests.flows.turned import Turned, turn_once
from tests.mlflow_home import home_with_mlflow


@pytest.fixture
def application(tmp_path: Path, tiny_model: Path) -> Application:
    made = make_application(tmp_path / "application", tiny_model)
    home_with_mlflow(made.home)
    return made


@pytest.fixture(scope="session")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    """One whole turn, for all who leave it as they found it."""
    return turn_once(tmp_path_factory.mktemp("turned") / "folder")
