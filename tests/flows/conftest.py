from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.application import Application, make_application
from tests.mlflow_home import home_with_mlflow


@pytest.fixture
def application(tmp_path: Path, tiny_model: Path) -> Application:
    made = make_application(tmp_path / "application", tiny_model)
    home_with_mlflow(made.home)
    return made
