"""What stands in a state folder: a run's turn, and what MLflow was told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from tasks.model.turn import Turn
from tasks.record.reading import read_turn
from tasks.run import Run
from tasks.settings import Settings


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
