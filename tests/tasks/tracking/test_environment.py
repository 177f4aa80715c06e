from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.tracking.environment import prepare_environment, tracking_location
from tasks.tracking.server import server_command
from tasks.tracking.session import without_password
from tests.mlflow_home import home_with_mlflow
from tests.tasks.record.turns import make_run


def test_without_an_address_runs_are_kept_in_the_state_folder(tmp_path: Path) -> None:
    location = tracking_location(make_run(tmp_path).settings)
    assert location.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert location.uri.startswith("sqlite:////")
    assert location.artifact_uri == (tmp_path / "mlflow-artifacts").as_uri()


def test_a_relative_sqlite_path_becomes_absolute(tmp_path: Path) -> None:
    settings = make_run(tmp_path, tracking_uri="sqlite:///kept/here.db").settings
    assert tracking_location(settings).database == tmp_path / "kept" / "here.db"


def test_a_kind_of_store_that_cannot_be_used_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tracking_uri"):
        tracking_location(make_run(tmp_path, tracking_uri="file:///mlruns").settings)


def test_nothing_may_call_home_but_waiting_times_of_the_user_are_kept() -> None:
    environment = {"DO_NOT_TRACK": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    prepare_environment(environment)
    assert environment["DO_NOT_TRACK"] == "true"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "5"


def test_password_of_an_address_is_never_shown() -> None:
    assert without_password("https://me:secret@host:5000/x") == "https://…@host:5000/x"
    assert without_password("sqlite:////a/b.db") == "sqlite:////a/b.db"


def test_server_listens_on_loopback_with_one_worker_and_no_jobs(tmp_path: Path) -> None:
    argv, environment = server_command(make_run(home_with_mlflow(tmp_path)).settings, 5001)
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert argv[argv.index("--workers") + 1] == "1"
    assert argv[argv.index("--port") + 1] == "5001"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_server_is_not_started_where_one_keeps_the_runs_already(tmp_path: Path) -> None:
    settings = make_run(tmp_path, tracking_uri="http://me:secret@mlflow.internal").settings
    with pytest.raises(UsageError, match="running already") as caught:
        server_command(settings, 5001)
    assert "secret" not in caught.value.line()
