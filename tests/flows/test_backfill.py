"""`--backfill`: a run a day, none lost, none twice, and a killed one goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from flows.backfill import by_day
from tasks.errors import UsageError
from tasks.model.run import RunRequest
from tests.flows.application import Application, call_record

NOW = datetime.fromisoformat("2026-11-24T12:30:00")
_BACKFILL = ("ingest", "--logs", "*.jsonl", "--backfill", "--since", "2026-11-01",
             "--until", "2026-11-04", "--json")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Application:
    """Three days of calls and one after them, across two files."""
    days = [f"2026-11-{1 + number % 4:02d}T{number:02d}:00:00Z" for number in range(20)]
    calls = [{**call_record(number), "started_at": day} for number, day in enumerate(days)]
    for name, some in (("a", calls[:12]), ("b", calls[12:])):
        text = "".join(json.dumps(call) + "\n" for call in some)
        (tmp_path / f"{name}.jsonl").write_text(text)
    return Application(tmp_path)


def runs(folder: Application) -> list[tuple[str, str]]:
    with duckdb.connect(str(folder.home / "flywheel.duckdb"), read_only=True) as store:
        return store.execute(
            "SELECT request->>'since', state FROM runs ORDER BY run_id"
        ).fetchall()  # fmt: skip


def test_each_day_is_a_run_and_the_same_command_again_only_tells_them(folder: Application):
    first = folder.here(*_BACKFILL)
    assert first.code == 0, first.err
    days = first.json["days"]
    assert [(day["since"][:10], day["rows_out"], day["outside_window"]) for day in days] == [
        ("2026-11-01", 5, 15), ("2026-11-02", 5, 15), ("2026-11-03", 5, 15),
    ]  # fmt: skip
    assert [state for _, state in runs(folder)] == ["completed"] * 3
    second = folder.here(*_BACKFILL)
    assert second.json == first.json
    assert second.err.count("was turned before") == 3
    assert len(runs(folder)) == 3
    rest = folder.here("ingest", "--logs", "*.jsonl", "--json").json
    assert (rest["rows_out"], rest["duplicates"]) == (5, 15)


def test_killed_in_its_second_day_it_goes_on_there(folder: Application, tmp_path: Path):
    first = folder.here(*_BACKFILL[:-3], "--until", "2026-11-02", "--json").json["days"]
    killed = subprocess.run(
        [sys.executable, "-m", "tests.flows.killed", "ingest", "before", *_BACKFILL],
        cwd=folder.folder, env=folder.environment(), capture_output=True, timeout=120,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert [state for _, state in runs(folder)] == ["completed", "running"]
    days = folder.here(*_BACKFILL).json["days"]
    assert days[0] == first[0]
    assert [day["rows_out"] for day in days] == [5, 5, 5]
    assert [(since[:10], state) for since, state in runs(folder)] == [
        ("2026-11-01", "completed"), ("2026-11-02", "completed"), ("2026-11-03", "completed"),
    ]  # fmt: skip


def test_days_of_a_window_and_its_last_one_is_over():
    request = RunRequest(logs=("x",), since="2026-11-22T06:00+02:00")
    assert [(day.since, day.until) for day in by_day(request, NOW)] == [
        ("2026-11-22T04:00:00Z", "2026-11-23T00:00:00Z"),
        ("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
    ]
    assert all(day.logs == ("x",) for day in by_day(request, NOW))


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("", "2026-11-20", "needs its first day"),
        ("2026-11-20", "2026-11-25", "ends in the past"),
        ("2026-11-24", "", "no moment lies between"),
        ("soon", "", "--since is no time"),
    ],
)
def test_a_range_that_cannot_be_filled_is_a_usage_error(since: str, until: str, message: str):
    with pytest.raises(UsageError, match=message):
        by_day(RunRequest(since=since, until=until), NOW)


@pytest.mark.slow
def test_a_whole_turn_for_each_day(application: Application):
    logs = [{**call_record(n), "started_at": f"2026-11-0{1 + n % 2}T10:00:00Z"} for n in range(24)]
    application.log("calls.jsonl", logs)
    arguments = ("run", "--inline", "--backfill", "--since", "2026-11-01", "--until", "2026-11-03")
    answer = application.here(*arguments, "--json")
    assert answer.code in (0, 1), answer.err
    days = answer.json["days"]
    assert [day["stages"][0]["rows_out"] for day in days] == [12, 12]
    assert [day["stages"][0]["outside_window"] for day in days] == [12, 12]
    assert all(day["verdict"] and Path(day["report"]).is_file() for day in days)
    assert "12 outside the window asked for (ingest)" in Path(days[0]["report"]).read_text()
    held = any(day["verdict"] in ("worse", "cannot_tell") for day in days)
    assert answer.code == held
