from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.application import Application, make_application


@pytest.fixture
def application(tmp_path: Path, tiny_model: Path) -> Application:
    return make_application(tmp_path / "application", tiny_model)
