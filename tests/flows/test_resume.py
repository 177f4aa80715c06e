"""Kill -9 in every stage, then the same command again: the same result, no row lost or doubled."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.stages import stages_of
from tests.flows.application import Application, call_record, make_application
from tests.mlflow_home import home_with_mlflow

_COUNTED = (
    "landing", "requests", "feedback", "dead_letters", "quarantine", "eval_sets", "samples",
    "eval_set_samples", "releases", "completions", "scores", "verdicts",
)  # fmt: skip
_RUN = ("run", "--inline", "--json")
#: in every stage with its work done and not yet committed; the rest are the odd ones
MOMENTS = [
    *((stage, "before") for stage in stages_of("run")),
    ("ingest", "after"),
    ("evaluate", "chunk"),
    ("gate", "after"),
]


def with_faults(application: Application) -> Application:
    """Rows of every fate: good, duplicate, cut off, quarantined."""
    records = [call_record(n) for n in range(24, 30)]
    records += [records[0], {**call_record(30), "messages": None}]
    path = application.log("more.jsonl", records)
    path.write_text(path.read_text() + '{"request_id": "cut off", "mess')
    return application


def tables(application: Application) -> dict[str, int]:
    with duckdb.connect(str(application.home / "flywheel.duckdb"), read_only=True) as connection:
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
            for name in _COUNTED
        }


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """A result without ids and times."""
    counts = ("stage", "rows_in", "rows_out", "quarantined", "duplicates", "dead_letters")
    return {
        "verdict": result["verdict"],
        "suites": result["suites"],
        "stages": [{name: stage[name] for name in counts} for stage in result["stages"]],
    }


def finished_mlflow_runs(application: Application) -> list[str]:
    import sqlite3

    connection = sqlite3.connect(application.home / "mlflow.db")
    try:
        rows = connection.execute(
            "SELECT r.name, r.status FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
            "WHERE t.key = 'flywheel.run_id' AND r.lifecycle_stage = 'active' AND NOT EXISTS "
            "(SELECT 1 FROM tags p WHERE p.run_uuid = r.run_uuid AND p.key = 'mlflow.parentRunId')"
        ).fetchall()
    finally:
        connection.close()
    return [status for _, status in rows]


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> tuple[Application, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("undisturbed") / "application"
    application = with_faults(make_application(folder, tiny_model))
    home_with_mlflow(application.home)
    return application, application.call("run", "--inline", "--json").json


def killed(
    application: Application,
    stage: str,
    moment: str,
    *arguments: str,
    stop_with: str = "SIGKILL",
    prints: bool = False,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "tests.flows.killed", stage, moment),
            *(arguments or _RUN),
        ],
        cwd=application.folder,
        env=application.environment(STOP_WITH=stop_with),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert bool(done.stdout) == prints, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "moment"), MOMENTS)
def test_killed_run_ends_like_an_undisturbed_one(
    stage: str, moment: str, tmp_path: Path, tiny_model: Path, undisturbed: Any
):
    reference, expected = undisturbed
    application = with_faults(make_application(tmp_path / "application", tiny_model))
    home_with_mlflow(application.home)
    assert killed(application, stage, moment).returncode == -signal.SIGKILL
    answer = application.call("run", "--inline", "--json")
    assert answer.code in (0, 1), answer.err
    assert comparable(answer.json) == comparable(expected)
    assert tables(application) == tables(reference)
    assert finished_mlflow_runs(application) == ["FINISHED"]
    shutil.rmtree(application.folder)


@pytest.mark.slow
def test_killed_noise_measurement_ends_like_an_undisturbed_one(tmp_path: Path, tiny_model: Path):
    told = {}
    for moment in ("chunk", "before", "undisturbed"):
        application = make_application(tmp_path / moment, tiny_model)
        home_with_mlflow(application.home)
        if moment != "undisturbed":
            stopped = killed(application, "noise", moment, "noise", "--json")
            assert stopped.returncode == -signal.SIGKILL, stopped.stderr
        answer = application.call("noise", "--json")
        assert answer.code == 0, answer.err
        told[moment] = {
            name: value for name, value in answer.json.items() if name not in ("run_id", "seconds")
        }
        counts = tables(application)
        assert (counts["completions"], counts["scores"]) == (24, 24)  # of 12 samples, two seeds
    assert told["chunk"] == told["before"] == told["undisturbed"]
    assert told["chunk"]["computed"] == 24


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "stop_with"),
    [(("run", "--inline"), "SIGTERM"), (("run",), "SIGINT"), (("run",), "SIGTERM")],
    ids=["inline", "ctrl-c in prefect", "in prefect"],
)
def test_stopped_it_says_what_is_next_and_the_same_command_goes_on(
    arguments: tuple[str, ...], stop_with: str, application: Application
):
    stopped = killed(application, "redact", "after", *arguments, stop_with=stop_with)
    assert stopped.returncode == 128 + signal.Signals[stop_with], stopped.stderr
    assert stopped.stderr.splitlines()[-1] == (
        "interrupted · next: the same command goes on where it stopped"
    )
    assert "Traceback" not in stopped.stderr
    answer = application.call("run", "--inline", "--json")
    assert answer.code in (0, 1), answer.err
    assert answer.json["resumed_after"] == "redact"


@pytest.mark.slow
def test_a_run_in_prefect_ends_with_its_verdict_whatever_becomes_of_the_server(
    application: Application,
):
    done = killed(application, "redact", "after", "run", stop_with="SERVER", prints=True)
    assert done.returncode in (0, 1), done.stderr
    assert "CANNOT TELL" in done.stdout
    assert "the other: 4 flywheel: another flywheel run is at work on this state" in done.stderr
    said = [line for line in done.stderr.splitlines() if "Prefect" in line or "ERROR" in line]
    assert len(said) == 1, done.stderr
    assert "the turn goes on without it" in said[0]


@pytest.mark.slow
def test_where_no_server_starts_the_stages_run_without_it(application: Application):
    nowhere = "sqlite+aiosqlite:////nowhere/prefect.db"
    done = application.call("run", PREFECT_SERVER_DATABASE_CONNECTION_URL=nowhere)
    assert done.code in (0, 1), done.err
    assert "CANNOT TELL" in done.out
    assert done.err.startswith("flywheel: Prefect's own server did not start")
