"""The turn itself, with stages that only write their receipt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import flows.stages
import flows.turn
from flows.nightly import stage_task
from flows.options import Options
from flows.progress import shown
from flows.stages import STAGES, Stage, stage_function, stages_of
from flows.turn import hold, request_from, turn
from tasks.errors import ConfigurationError, DataError, StoreBusyError
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.preflight import require
from tasks.run import Run
from tasks.settings import Settings, parse_settings
from tasks.store import Store
from tasks.store.control import ledger


class Killed(BaseException):
    """Stands for a kill: nothing after it runs, not even the ledger's last entry."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse_settings({"releases": {"a": {"model": "m"}}}, base=str(tmp_path))


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages that ran, in order; put a stage's name in front of it to have it fail."""
    ran: list[str] = []

    def function(name: str):
        def stage(run: Run) -> Receipt:
            ran.append(name)
            with run.open_store() as store, store.transaction():
                receipt = Receipt(name, run.run_id, 2, 2)
                ledger.finish_stage(store, run.run_id, receipt, run.clock())
            return receipt

        return stage

    monkeypatch.setattr(flows.turn, "stage_function", function)
    return ran


def fail_in(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    before = flows.turn.stage_function

    def function(stage: str):
        def failing(run: Run) -> Receipt:
            raise error

        return failing if stage == name else before(stage)

    monkeypatch.setattr(flows.turn, "stage_function", function)


def state(settings: Settings) -> list[tuple[str, str | None]]:
    with Store.open(settings.store_path, read_only=True) as store:
        return store.rows("SELECT state, error FROM runs ORDER BY run_id")


WHOLE_TURN = stages_of("run")


def test_every_stage_has_a_title_and_a_plain_function():
    for stage in STAGES:
        assert stage.title
        assert callable(stage_function(stage.name))
    assert {stage.name for stage in STAGES} == {"replay", "noise", *WHOLE_TURN}
    assert WHOLE_TURN[:4] == ("ingest", "validate", "redact", "curate")


def test_a_stage_is_added_by_one_line_of_the_table(settings, worked, monkeypatch, capsys):
    added = Stage("notify", "tell the owners", ("run", "tell"), retries=1)
    monkeypatch.setattr(flows.stages, "STAGES", (*STAGES, added))
    assert stages_of("tell") == ("notify",)
    with shown() as progress:
        outcome = turn(settings, RunRequest(), progress=progress)
    assert worked == [*WHOLE_TURN, "notify"]
    assert [receipt.stage for receipt in outcome.receipts] == [*WHOLE_TURN, "notify"]
    assert "notify: tell the owners …" in capsys.readouterr().err
    task = stage_task("notify")
    assert (task.name, task.description, task.retries) == ("notify", "tell the owners", 1)


def test_a_stage_that_the_table_does_not_know_is_read_back_last(settings, worked):
    outcome = turn(settings, RunRequest(stages=("of_another_version", "ingest")))
    assert [receipt.stage for receipt in outcome.receipts] == ["ingest", "of_another_version"]


def test_stages_run_in_order_and_leave_their_receipts(settings, worked):
    outcome = turn(settings, RunRequest())
    assert worked == list(WHOLE_TURN)
    assert [receipt.stage for receipt in outcome.receipts] == list(WHOLE_TURN)
    assert outcome.verdict is None
    assert state(settings) == [("completed", None)]


def test_failed_run_is_recorded_and_the_next_one_starts_anew(settings, worked, monkeypatch):
    fail_in(monkeypatch, "curate", DataError("nothing to judge", received="0 rows"))
    with pytest.raises(DataError):
        turn(settings, RunRequest())
    assert state(settings) == [("failed", "nothing to judge · received: 0 rows")]
    assert worked == ["ingest", "validate", "redact"]


def test_killed_run_goes_on_after_its_last_whole_stage(settings, worked, monkeypatch):
    with monkeypatch.context() as patch:
        fail_in(patch, "curate", Killed())
        patch.setattr(flows.turn, "_finish", lambda *_: None)
        with pytest.raises(Killed):
            turn(settings, RunRequest())
    assert state(settings) == [("running", None)]
    outcome = turn(settings, RunRequest())
    assert worked == list(WHOLE_TURN)
    assert outcome.resumed_after == "redact"
    assert state(settings) == [("completed", None)]


def test_killed_run_of_another_request_is_abandoned(settings, worked, monkeypatch):
    with monkeypatch.context() as patch:
        fail_in(patch, "ingest", Killed())
        patch.setattr(flows.turn, "_finish", lambda *_: None)
        with pytest.raises(Killed):
            turn(settings, RunRequest())
    outcome = turn(settings, RunRequest(seed=1))
    assert outcome.resumed_after is None
    assert [row[0] for row in state(settings)] == ["abandoned", "completed"]


def test_two_runs_at_once_are_one_run_and_one_clear_refusal(settings):
    with (
        hold(settings),
        pytest.raises(StoreBusyError, match=f"held by process {os.getpid()}"),
        hold(settings),
    ):
        raise AssertionError("the second run was let in")
    with hold(settings):
        pass


def test_request_takes_from_settings_what_was_not_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = parse_settings(
        {
            "logs": ["logs/*"],
            "champion": "a",
            "releases": {"a": {"model": "m"}, "b": {"model": "m"}},
            "evaluate": {"seed": 7},
        },
        base="/app",
    )
    request = request_from(settings, Options(), WHOLE_TURN)
    assert (request.logs, request.champion, request.challengers) == (("/app/logs/*",), "a", ("a",))
    assert request.seed == 7
    request = request_from(settings, Options(logs=["mine/*"], challenger=["b"], seed=0), WHOLE_TURN)
    assert (request.logs, request.challengers) == ((str(tmp_path / "mine/*"),), ("b",))
    assert request.seed == 0
    assert RunRequest.from_json(request.to_json()) == request
    assert request.config == ""
    (tmp_path / "flywheel.toml").write_text("")
    request = request_from(settings, Options(), WHOLE_TURN)
    assert request.config == str(tmp_path / "flywheel.toml")
    unknown = request_from(settings, Options(challenger=["c"]), ("evaluate",))
    with pytest.raises(ConfigurationError, match="release 'c'"):
        require(settings, unknown)
