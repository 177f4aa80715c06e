"""A verdict that MLflow was away for: kept, told, and recorded once when it is back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import flows.nightly
from flows.nights import nights_due
from flows.turn import outcome
from tasks.model.run import RunRequest
from tasks.run import utc_now
from tasks.settings import read_settings
from tasks.store import Store
from tests.flows.application import Application
from tests.flows.promoting import rows
from tests.flows.turned import Turned

_AWAY = '\n[mlflow]\ntracking_uri = "http://127.0.0.1:9"\n'


@pytest.fixture
def away(turned: Turned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    """A turn of tonight, without MLflow."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = tmp_path / "application"
    shutil.copytree(turned.application.folder, folder)
    made = Application(folder)
    settings = folder / "flywheel.toml"
    settings.write_text(settings.read_text() + _AWAY)
    return made


def _is_back(application: Application) -> None:
    settings = application.folder / "flywheel.toml"
    settings.write_text(settings.read_text().replace(_AWAY, ""))


def _top_runs(application: Application, run_id: str) -> int:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{application.home}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "flywheel"]
    found = client.search_runs(
        [experiment.experiment_id], f"tags.`flywheel.run_id` = '{run_id}'", max_results=100
    )
    return sum("mlflow.parentRunId" not in run.data.tags for run in found)


def test_the_verdict_is_kept_and_recorded_once_when_mlflow_is_back(away: Application):
    made = away
    night = nights_due(
        read_settings(str(made.folder / "flywheel.toml"), {}), RunRequest(), utc_now()
    )
    until = night[-1].until
    turned = made.here("run", "--inline", "--until", until)
    assert turned.code in (0, 1), turned.err
    assert "kept, and not in MLflow (MLflow's store does not answer): flywheel record" in (
        " ".join(turned.out.split())
    )
    told = made.here("verdict", "--json").json
    run_id = told["run_id"]
    assert told["verdict"]
    assert told["unrecorded"] == "MLflow's store does not answer"
    assert (made.home / "receipts" / f"{run_id}.receipt.json").exists()
    assert "not in MLflow" in made.here("status").out
    still = made.here("record")
    assert (still.code, "does not answer" in still.err) == (4, True)
    settings = read_settings(str(made.folder / "flywheel.toml"), {})
    assert nights_due(settings, RunRequest(), utc_now()) == [], "it is not turned once more"

    _is_back(made)
    assert made.here("record", "--json").json == {"recorded": [run_id]}
    assert _top_runs(made, run_id) == 1
    assert made.here("verdict", run_id, "--json").json["unrecorded"] == ""
    assert (made.home / "reports" / run_id / "report.html").exists()
    assert "nothing to record" in made.here("record").out
    assert made.here("record", run_id, "--json").json == {"recorded": []}
    assert _top_runs(made, run_id) == 1
    assert made.here("record", "none such").code == 2


def test_the_next_night_records_what_the_one_before_could_not(
    away: Application, monkeypatch: pytest.MonkeyPatch
):
    made = away
    assert made.here("run", "--inline").code in (0, 1)
    _is_back(made)
    monkeypatch.setattr(flows.nightly, "in_turn", lambda: flows.nightly.execute_stage)
    settings = read_settings(str(made.folder / "flywheel.toml"), {})
    assert flows.nightly._turn_all(settings, []) is None
    assert rows(made, "SELECT count(*) FROM runs WHERE mlflow_run_id IS NULL") == [[0]]
    with Store.open(settings.store_path, read_only=True) as store:
        run_id = store.scalar("SELECT max(run_id) FROM runs")
        assert outcome(store, run_id).unrecorded == ""


def test_an_alias_that_was_moved_in_mlflow_outlasts_the_recording_of_a_run(
    away: Application, turned: Turned
):
    made = away
    _is_back(made)
    settings = made.folder / "flywheel.toml"
    settings.write_text(settings.read_text() + '\n[promotion]\napproval = "mlflow"\n')
    promoted = made.here("promote", "--override", "for the test", "--expires", "2999-01-01")
    assert promoted.code == 0, promoted.out

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{made.home}/mlflow.db")
    model = client.get_registered_model("flywheel-release")
    by_hand = model.aliases["previous"]
    client.set_registered_model_alias("flywheel-release", "champion", by_hand)
    assert made.here("run", "--inline", "--seed", "9").code in (0, 1)
    assert client.get_registered_model("flywheel-release").aliases["champion"] == by_hand
    refused = made.here("promote", "--from-mlflow")
    assert refused.code == 1
    back = client.get_registered_model("flywheel-release").aliases["champion"]
    assert back == model.aliases["champion"] != by_hand
