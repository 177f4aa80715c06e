"""A state folder whose MLflow database is there already: making its schema takes ten seconds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tasks.tracking.database import prepare_database
from tasks.tracking.environment import prepare_environment

_shared: list[Path] = []


def share_template(factory: pytest.TempPathFactory) -> None:
    """One template for all processes of this session of tests."""
    own = factory.getbasetemp()
    _shared[:] = [own.parent if "PYTEST_XDIST_WORKER" in os.environ else own]


def home_with_mlflow(folder: Path) -> Path:
    """The folder, made if need be, with a database of no runs in it."""
    template = _shared[0] / "mlflow.db"
    with FileLock(f"{template}.making"):
        if not template.exists():
            prepare_environment()
            prepare_database(template, template.parent / "kept")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, folder / "mlflow.db")
    return folder
