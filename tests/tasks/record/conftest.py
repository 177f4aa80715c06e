from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.run import Run
from tests.tasks.record.stores import home_with_mlflow, remove_template
from tests.tasks.record.turns import fill, make_run


@pytest.fixture(scope="session", autouse=True)
def _one_template() -> Iterator[None]:
    yield
    remove_template()


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
