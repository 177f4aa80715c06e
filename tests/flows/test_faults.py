"""What befalls nights on a real Prefect server and worker: nothing doubled, nothing lost.

One `flywheel up` goes through it all, since its start takes longest. Every night has one verdict,
every call is taken in once, MLflow has one run a turn.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from flows.cut_off import _GOES_ON
from flows.processes import process_started_at
from tests.flows.application import Application, call_record
from tests.flows.test_up import Up, until

_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
#: of a suite that any release passes, so that the night asks to be promoted
_SHIPS = 'owner = "support"\nmargin = 0.9\n'


class Nights:
    """An application under `flywheel up`, as Prefect's API and the databases tell of it."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.up = Up(application)
        self.api = self.up.pages["Prefect"] + "/api"

    def get(self, path: str, **parameters: Any) -> Any:
        return httpx.get(f"{self.api}/{path}", params=parameters, timeout=30).json()

    def post(self, path: str, **body: Any) -> Any:
        """Prefect on SQLite says 503 where somebody else is writing, and has done nothing then:
        its own client asks again, too."""
        deadline = time.monotonic() + 30
        while True:
            response = httpx.post(f"{self.api}/{path}", json=body, timeout=30)
            if response.status_code != 503 or time.monotonic() > deadline:
                response.raise_for_status()
                return response.json()
            time.sleep(0.5)

    def ask(self, at: datetime | None = None) -> str:
        """A nightly run, now or as a schedule would have it at a time."""
        (deployment,) = self.post("deployments/filter", deployments={"name": {"any_": ["nightly"]}})
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": at and at.isoformat()}}
        created = self.post(f"deployments/{deployment['id']}/create_flow_run", state=state)
        return str(created["id"])

    def state(self, flow_run: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with suppress(httpx.HTTPError, ValueError):  # the server was killed and comes back
            found = self.get(f"flow_runs/{flow_run}")["state"]
        return found

    def has_done(self, flow_run: str, stage: str) -> bool:
        with suppress(httpx.HTTPError, ValueError):
            mine = {"id": {"any_": [flow_run]}}
            done = self.post("task_runs/filter", flow_runs=mine)
            return any((one["name"], one["state_type"]) == (stage, "COMPLETED") for one in done)
        return False

    def ended(self, flow_run: str) -> str:
        """The name of the state that it ended in."""
        assert until(lambda: self.state(flow_run).get("type") in _ENDED, 120), self.told(flow_run)
        return str(self.state(flow_run)["name"])

    def told(self, flow_run: str) -> list[tuple[str, str]]:
        states = self.get("flow_run_states/", flow_run_id=flow_run)
        return [(state["name"], state["message"] or "") for state in states]

    def kill(self, words: str) -> None:
        """A process of ours by what it was started with, without its tether."""
        (pid,) = [
            pid for pid in self.up.processes()
            if words in _argv(pid) and "tether.py" not in _argv(pid)
        ]  # fmt: skip
        os.kill(pid, signal.SIGKILL)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        path, deadline = str(self.application.home / "flywheel.duckdb"), time.monotonic() + 20
        while True:
            try:
                with duckdb.connect(path) as store:
                    return store.execute(sql).fetchall()
            except duckdb.IOException:  # a flow has it open for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def answer(self, flow_run: str, **said: object) -> str:
        assert until(lambda: self.has_form(flow_run)), self.told(flow_run)
        return str(self.post(f"flow_runs/{flow_run}/resume", run_input=said)["status"])

    def has_form(self, flow_run: str) -> bool:
        """Prefect says that a run is suspended before the form of its page is there."""
        state = self.state(flow_run)
        keys = state.get("state_details", {}).get("run_input_keyset") or {}
        if state.get("name") != "Suspended" or not keys:
            return False
        found = httpx.get(f"{self.api}/flow_runs/{flow_run}/input/{keys['schema']}", timeout=30)
        return found.status_code == 200

    def turn_here(self) -> str:
        """The flow in this process, whose clock can be set."""
        from prefect.settings import PREFECT_API_URL, temporary_settings

        from flows.nightly import nightly

        with temporary_settings({PREFECT_API_URL: self.api}):
            state = nightly(
                config=str(self.application.folder / "flywheel.toml"), return_state=True
            )
        return str(state.name)

    def a_day_later(self) -> None:
        """Every night that was turned becomes a day older, so that today's is due."""
        self.rows(
            "UPDATE runs SET request = json_merge_patch(request, json_object('until', strftime("
            "(request->>'until')::TIMESTAMP - INTERVAL 1 DAY, '%Y-%m-%dT%H:%M:%S'))) "
            "WHERE run_id IN (SELECT run_id FROM verdicts)"
        )

    def check(self, num_nights: int, num_calls: int) -> None:
        nights = self.rows("SELECT request->>'until' FROM runs JOIN verdicts USING (run_id)")
        assert Counter(nights).most_common(1)[0][1] == 1, nights
        assert len(nights) == num_nights
        assert self.rows("SELECT count(*), count(DISTINCT request_id) FROM requests") == [
            (num_calls, num_calls)
        ]
        assert self.rows("SELECT DISTINCT state FROM runs") == [("completed",)]
        turns = [run for (run,) in self.rows("SELECT run_id FROM verdicts")]
        with sqlite3.connect(self.application.home / "mlflow.db") as mlflow:
            recorded = mlflow.execute(
                "SELECT t.value, r.status FROM runs r JOIN tags t USING (run_uuid) WHERE "
                "t.key = 'flywheel.run_id' AND r.lifecycle_stage = 'active' AND r.run_uuid NOT IN "
                "(SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"
            ).fetchall()
        mlflow.close()
        assert sorted(recorded) == sorted((run, "FINISHED") for run in turns)


def _argv(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


@pytest.fixture
def nights(application: Application) -> Iterator[Nights]:
    path = application.folder / "flywheel.toml"
    asks = '\n[promotion]\napproval = "prefect"\n'
    path.write_text(path.read_text().replace('owner = "support"\n', _SHIPS) + asks)
    made = Nights(application)
    try:
        yield made
    finally:
        made.up.close()


TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
_DAY = timedelta(days=1)


@pytest.mark.slow
def test_nothing_that_befalls_a_night_doubles_or_loses_anything(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
):
    application, path = nights.application, nights.application.folder / "flywheel.toml"

    # as a schedule has it, and twice at once: one waits, and finds nothing due
    first = nights.ask(datetime.now(UTC) + timedelta(seconds=1))
    second = nights.ask(datetime.now(UTC) + timedelta(seconds=1))
    both = (first, second)
    assert until(lambda: any(nights.state(run).get("name") == "Suspended" for run in both))
    if nights.state(first)["name"] != "Suspended":
        first, second = second, first
    assert nights.state(second)["name"] in ("AwaitingConcurrencySlot", "Pending", "Running")
    assert nights.ended(second) == "Nothing due"

    # it asks, and is promoted when somebody says yes and by whom
    assert until(lambda: nights.has_form(first))
    keys = nights.state(first)["state_details"]["run_input_keyset"]
    asked = nights.get(f"flow_runs/{first}/input/{keys['description']}")
    assert f"({nights.up.pages['reports']}/" in asked
    assert nights.answer(first, approve=True) == "REJECT", "without a name"
    assert nights.answer(first, approve=True, by="Ada", why="no losses") == "ACCEPT"
    assert nights.ended(first) == "Promoted: no_worse"
    nights.check(num_nights=1, num_calls=24)

    # the worker is killed in the middle, and another one; what waits for an answer waits on
    text = path.read_text().replace('challenger = "challenger"', 'challenger = "champion"')
    path.write_text(text)
    application.log("more.jsonl", [call_record(30)])
    nights.a_day_later()
    killed = nights.ask()
    assert until(lambda: nights.has_done(killed, "plan"))
    nights.kill("worker start")
    assert until(lambda: nights.state(killed).get("name") == "Suspended"), nights.told(killed)
    assert ("AwaitingRetry", _GOES_ON) in nights.told(killed)
    assert "cut off before, and goes on: 1 of the flow runs" in nights.up.said
    nights.kill("worker start")
    assert nights.answer(killed, approve=False, by="Ada", why="not today") == "ACCEPT"
    assert nights.ended(killed) == "Refused: no_worse"
    nights.check(num_nights=2, num_calls=25)

    # the server is killed; the same verdict on the same two is not asked again
    nights.a_day_later()
    served = nights.ask()
    assert until(lambda: nights.has_done(served, "evaluate"))
    nights.kill("server start")
    assert nights.ended(served) == "Passed: no_worse", nights.told(served)
    nights.check(num_nights=3, num_calls=25)

    # a clock that jumps ahead by two days, and back, and ahead
    monkeypatch.setenv("PREFECT_API_URL", nights.api)
    for days, ended in ((2, "Passed: no_worse"), (0, "Nothing due"), (2, "Nothing due")):
        now = TODAY + days * _DAY + timedelta(hours=2)
        monkeypatch.setattr("flows.nightly.utc_now", lambda now=now: now)
        assert nights.turn_here() == ended
    nights.check(num_nights=5, num_calls=25)

    # all of it is killed while a night is at work
    for _ in range(3):
        nights.a_day_later()
    last = nights.ask()
    assert until(lambda: nights.state(last).get("name") == "Running")
    processes = nights.up.processes()
    assert any("prefect.engine" in _argv(pid) for pid in processes)
    nights.up.end(signal.SIGKILL)
    assert until(lambda: not _alive(processes), 20), [_argv(pid) for pid in _alive(processes)]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGKILL"])
@pytest.mark.slow
def test_no_signal_leaves_a_process(application: Application, name: str):
    # who starts tests in the background has some ignored, and children inherit that
    heard = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = {each: signal.signal(each, signal.SIG_DFL) for each in heard}
    try:
        _end_by(application, name)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _end_by(application: Application, name: str) -> None:
    up = Up(application, said="about half a minute")
    try:
        # three parts, each behind its tether, which starts it a moment after it was started itself
        assert until(lambda: len(up.processes()) >= 6, 60)
        processes = up.processes()
        up.end(signal.Signals[name])
        assert until(lambda: not _alive(processes), 20), [_argv(pid) for pid in _alive(processes)]
    finally:
        up.close()


def _alive(processes: list[int]) -> list[int]:
    return [pid for pid in processes if process_started_at(pid) is not None]
