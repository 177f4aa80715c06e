"""A state folder whose MLflow database is there already: making its schema takes seconds."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tasks.model.turn import Turn
from tasks.record.reading import read_turn
from tasks.run import Run
from tasks.settings import Settings
from tasks.tracking.database import prepare_database
from tasks.tracking.environment import prepare_environment


@cache
def _template() -> Path:
    prepare_environment()
    path = Path(mkdtemp(prefix="flywheel-test-mlflow-")) / "mlflow.db"
    prepare_database(path)
    return path


def remove_template() -> None:
    if _template.cache_info().currsize:
        shutil.rmtree(_template().parent)
        _template.cache_clear()


def home_with_mlflow(folder: Path) -> Path:
    shutil.copy(_template(), folder / "mlflow.db")
    return folder


def read(run: Run) -> Turn:
    with run.open_store(read_only=True) as store:
        return read_turn(store, run.run_id, run.seeds, {"python": "3.11", "duckdb": "2.0"})


def client(settings: Settings) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{settings.home_path}/mlflow.db")


def runs(settings: Settings, filter_string: str = "") -> list[Any]:
    mlflow = client(settings)
    experiment = mlflow.get_experiment_by_name("flywheel")
    return list(mlflow.search_runs([experiment.experiment_id], filter_string))


def count(settings: Settings, sql: str) -> int:
    with closing(sqlite3.connect(settings.home_path / "mlflow.db")) as connection:
        return int(connection.execute(sql).fetchone()[0])
