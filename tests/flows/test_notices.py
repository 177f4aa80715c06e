"""Who is told what: by apprise, for real, to a server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.notices import newest, of_error, of_outcome, of_silence, tell
from flows.turn import Outcome, outcome
from tasks.errors import DataError, UsageError
from tasks.model.history import History
from tasks.run import Run
from tasks.settings import parse_settings
from tests.tasks.record.turns import RUN_ID, fill, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("notices"))
    fill(run, num_samples=12)
    return run


@pytest.fixture
def turned(run: Run) -> Outcome:
    with run.open_store(read_only=True) as store:
        return outcome(store, RUN_ID)


@pytest.fixture
def history(run: Run) -> History:
    return newest(run.settings)


def _with(turned: Outcome, verdict: str) -> Outcome:
    decided = {role: replace(one, verdict=verdict) for role, one in turned.verdicts.items()}
    return replace(turned, verdicts=decided)


def _nights(history: History, *verdicts: str) -> History:
    (one,) = history.runs
    runs = [replace(one, run_id=f"{number}", verdict=v) for number, v in enumerate(verdicts)]
    runs[-1] = replace(runs[-1], run_id=one.run_id)
    return replace(history, runs=tuple(runs))


@pytest.mark.parametrize(
    ("verdict", "kinds"),
    [("worse", ["worse"]), ("blocked", ["worse"]), ("better", ["ships"]), ("no_worse", ["ships"]),
     ("cannot_tell", [])],
)  # fmt: skip
def test_a_verdict_is_told_by_its_kind(
    turned: Outcome, history: History, verdict: str, kinds: list[str]
):
    told = of_outcome(_with(turned, verdict), _nights(history, verdict))
    assert [notice.kind for notice in told] == kinds
    assert all("candidate against prod: " in notice.title for notice in told)


@pytest.mark.parametrize(
    ("verdicts", "is_told"),
    [(["cannot_tell"] * 3, True), (["worse", "cannot_tell", "cannot_tell"], False),
     (["cannot_tell"] * 2, False), (["worse", *["cannot_tell"] * 4], True)],
)  # fmt: skip
def test_three_nights_without_an_answer_are_told(
    turned: Outcome, history: History, verdicts: list[str], is_told: bool
):
    told = of_outcome(_with(turned, "cannot_tell"), _nights(history, *verdicts))
    assert [notice.kind for notice in told] == ["undecided"] * is_told


def test_drift_is_told_beside_the_verdict(turned: Outcome, history: History):
    (one,) = history.runs
    assert one.intake is not None
    drifted = replace(one, intake=replace(one.intake, drifted=("model", "operation")))
    told = of_outcome(turned, replace(history, runs=(drifted,)))
    assert [notice.kind for notice in told] == ["worse", "drift"]
    assert "model, operation" in told[1].title


def test_a_verdict_that_is_not_in_mlflow_is_told(turned: Outcome, history: History):
    away = replace(turned, unrecorded="MLflow's store does not answer")
    (notice,) = [one for one in of_outcome(away, history) if one.kind == "error"]
    assert notice.lines[0] == "MLflow's store does not answer"
    assert not [one for one in of_outcome(turned, history) if one.kind == "error"]


def test_bad_data_and_a_broken_system_are_told_apart():
    assert of_error(DataError("x")).kind == "data"
    assert of_error(UsageError("x")).kind == "error"
    assert of_error(RuntimeError("a\x1b[31m\nb")).lines == (r"RuntimeError: a\x1b[31m b",)


def test_silence_is_told_until_there_is_a_verdict_of_today(history: History):
    (one,) = history.runs
    assert one.decided_at is not None
    morning = datetime.combine(one.decided_at.date(), datetime.min.time()) + timedelta(hours=7)
    assert of_silence(history, morning) is None
    late = of_silence(history, morning + timedelta(days=1))
    assert late is not None
    assert (late.kind, late.title) == ("late", "no verdict by 07:00 UTC")
    never = of_silence(History((), 0, ()), morning)
    assert never is not None
    assert never.lines == ("the last one: never",)


@pytest.fixture
def mailbox() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address that apprise knows, and what came there."""
    came: list[dict[str, Any]] = []

    class Box(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Box)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_port}/", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_arrives_with_the_reasons_and_a_link(
    turned: Outcome, history: History, run: Run, mailbox: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    address, came = mailbox
    monkeypatch.setenv("FLYWHEEL_NOTIFY", f"  {address}\n")
    sent = tell(run.settings, of_outcome(turned, history), "https://prefect.example/run/1")
    assert sent == ["candidate against prod: WORSE: the challenger must not ship"]
    (letter,) = came
    assert letter["title"] == f"flywheel: {sent[0]}"
    assert "tickets (primary)" in letter["message"]
    assert letter["message"].endswith("https://prefect.example/run/1")


def test_only_what_is_asked_for_is_sent(
    turned: Outcome, history: History, mailbox: tuple[str, list[dict[str, Any]]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    address, came = mailbox
    monkeypatch.setenv("PAGER", address)
    notify = {"urls_env": "PAGER", "on": ["drift"], "link": "https://flywheel.example"}
    settings = parse_settings({"notify": notify}, base=str(tmp_path))
    assert tell(settings, of_outcome(turned, history)) == []
    assert came == []
    other = parse_settings({"notify": {**notify, "on": ["worse"]}}, base=str(tmp_path))
    assert len(tell(other, of_outcome(turned, history))) == 1
    assert came[0]["message"].endswith("https://flywheel.example")


def test_what_cannot_be_sent_stops_nothing_and_shows_no_password(
    turned: Outcome, history: History, run: Run, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.setenv("FLYWHEEL_NOTIFY", "no-such://me:s3cret@host json://me:s3cret@127.0.0.1:9/")
    assert tell(run.settings, of_outcome(turned, history)) == []
    said = capsys.readouterr()
    assert "address 1 of FLYWHEEL_NOTIFY is none that apprise knows" in said.err
    assert "not everybody could be told: candidate against prod: WORSE" in said.err
    assert "s3cret" not in said.err + said.out


def test_nobody_to_tell_is_no_error(turned: Outcome, history: History, run: Run, monkeypatch):
    monkeypatch.delenv("FLYWHEEL_NOTIFY", raising=False)
    assert tell(run.settings, of_outcome(turned, history)) == []
