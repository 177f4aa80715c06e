"""Which nights are due, as the ledger of a store tells."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flows.nights import MAX_MISSED, nights_due
from tasks.model.run import RunRequest
from tasks.run import Run
from tests.tasks.record.turns import fill, make_run

NOW = datetime(2026, 11, 30, 2, 30)  # noqa: DTZ001 - the store keeps UTC without a zone
ASKED = RunRequest(champion="prod", challengers=("candidate",))


@pytest.fixture
def turned(tmp_path: Path) -> Run:
    """A run with a verdict, of the night whose day ended on the 27th."""
    run = make_run(tmp_path)
    fill(run, num_samples=6)
    _asked(run, until="2026-11-27T00:00:00")
    return run


def _asked(run: Run, *, state: str = "completed", **changes: str) -> None:
    request = replace(run.request, **changes)
    with run.open_store() as store:
        store.execute(
            "UPDATE runs SET request = ?, state = ? WHERE run_id = ?",
            [request.to_json(), state, run.run_id],
        )


def _due(run: Run, now: datetime = NOW, asked: RunRequest = ASKED) -> list[str]:
    return [request.until for request in nights_due(run.settings, asked, now)]


def test_the_first_night_is_the_one_that_is_over(tmp_path: Path):
    assert _due(make_run(tmp_path)) == ["2026-11-30T00:00:00"]


def test_missed_nights_are_turned_in_order_each_once(turned: Run):
    assert _due(turned) == ["2026-11-28T00:00:00", "2026-11-29T00:00:00", "2026-11-30T00:00:00"]


def test_what_is_due_takes_in_all_that_came_before(turned: Run):
    due = nights_due(turned.settings, ASKED, NOW)
    assert [request.since for request in due] == [""] * 3
    assert {replace(request, until="") for request in due} == {ASKED}


def test_a_night_that_was_turned_is_not_turned_again(turned: Run):
    assert _due(turned, NOW - timedelta(days=3)) == []
    assert _due(turned, NOW - timedelta(days=3) + timedelta(hours=21)) == []


@pytest.mark.parametrize(
    "changes",
    [{"state": "running"}, {"since": "2026-11-01"}, {"until": ""}, {"until": "24h"},
     {"scores_of": "another"}],
)  # fmt: skip
def test_only_whole_turns_up_to_an_end_count(turned: Run, changes: dict[str, str]):
    _asked(turned, **{"until": "2026-11-29", **changes})
    assert _due(turned) == ["2026-11-30T00:00:00"]


@pytest.mark.parametrize("state", ["failed", "abandoned"])
def test_a_night_with_a_verdict_is_not_turned_again_whatever_became_of_it(turned: Run, state: str):
    _asked(turned, until="2026-11-29", state=state)
    assert _due(turned) == ["2026-11-30T00:00:00"]
    _asked(turned, until="2026-11-30", state=state)
    assert _due(turned) == []


def test_a_turn_without_a_verdict_is_no_night(turned: Run):
    with turned.open_store() as store:
        store.execute("DELETE FROM verdicts")
    assert _due(turned) == ["2026-11-30T00:00:00"]


def test_a_clock_that_went_ahead_and_came_back_doubles_nothing(turned: Run):
    _asked(turned, until="2026-12-24T00:00:00")  # turned while the clock was wrong
    assert _due(turned, datetime(2026, 12, 24, 3)) == []  # noqa: DTZ001
    assert _due(turned) == ["2026-11-30T00:00:00"]


def test_of_months_only_the_newest_nights_are_turned(turned: Run):
    due = _due(turned, datetime(2027, 3, 1, 2))  # noqa: DTZ001
    assert len(due) == MAX_MISSED
    assert (due[0], due[-1]) == ("2027-02-16T00:00:00", "2027-03-01T00:00:00")


def test_a_window_of_its_own_is_one_turn(turned: Run):
    asked = replace(ASKED, since="2026-11-02", until="2026-11-03")
    assert nights_due(turned.settings, asked, NOW) == [asked]
    assert json.loads(asked.to_json())["until"] == "2026-11-03"
