"""Nobody but its owner reads the state folder, whatever wrote what is in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flows.turn import hold_home
from tests.flows.application import Application


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(home: Path, mask: int = 0o077) -> list[str]:
    return sorted(
        str(path.relative_to(home)) for path in (home, *home.rglob("*")) if mode(path) & mask
    )


@pytest.mark.slow
def test_nothing_of_a_whole_turn_can_be_read_by_others(application: Application):
    text = (application.folder / "flywheel.toml").read_text()
    settings = text.replace("data_docs = false", "data_docs = true")
    (application.folder / "flywheel.toml").write_text(settings)
    with (application.folder / "logs" / "more.jsonl").open("w") as log:
        log.write('{"dead"\n')
    answer = application.call("run")
    assert answer.code in (0, 1), answer.err
    assert open_to_others(application.home) == []
    found = {path.name for path in application.home.iterdir()}
    assert {
        "flywheel.duckdb",
        "mlflow.db",
        "mlflow-artifacts",
        "reports",
        "data-docs",
        "prefect",
    } <= found


def test_init_writes_for_the_project(tmp_path: Path):
    assert Application(tmp_path).call("init").code == 0
    assert mode(tmp_path / "flywheel.toml") == 0o644


def earlier(home: Path) -> None:
    """What an earlier build left."""
    (home / "reports" / "one").mkdir(parents=True)
    for name in ("flywheel.duckdb", "mlflow.db", "reports/one/report.html"):
        (home / name).write_text("")
    home.chmod(0o755)


def test_what_an_earlier_build_left_open_is_closed(tmp_path: Path):
    earlier(tmp_path)
    with hold_home(tmp_path):
        (tmp_path / "spool").mkdir()
        (tmp_path / "spool" / "x").write_text("")
    assert open_to_others(tmp_path) == []
    assert os.umask(0o022) == 0o022


def test_a_folder_of_a_group_stays_one(tmp_path: Path):
    earlier(tmp_path)
    tmp_path.chmod(0o2775)
    with hold_home(tmp_path):
        (tmp_path / "mlflow.db-wal").write_text("")
    assert mode(tmp_path) == 0o2770
    assert mode(tmp_path / "mlflow.db-wal") == 0o660
    assert mode(tmp_path / "flywheel.duckdb") == 0o640
    assert open_to_others(tmp_path, 0o007) == []


def test_a_project_that_is_its_own_state_folder_stays_open(tmp_path: Path):
    earlier(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("")
    with hold_home(tmp_path):
        pass
    assert open_to_others(tmp_path) == [".", "src", "src/app.py"]
