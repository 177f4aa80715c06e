from __future__ import annotations

from pathlib import Path

import pytest

from tasks.run import Run
from tests.mlflow_home import home_with_mlflow
from tests.tasks.record.turns import fill, make_run


@pytest.fixture
def decided(tmp_path: Path) -> Run:
    """A run with a verdict over 40 samples; MLflow is empty."""
    run = make_run(home_with_mlflow(tmp_path))
    fill(run)
    return run


@pytest.fixture
def small(tmp_path: Path) -> Run:
    """The same over 12 samples: what is sent to MLflow takes 10 ms a row."""
    run = make_run(home_with_mlflow(tmp_path))
    fill(run, num_samples=12)
    return run
