"""Drift through the real stages: ingest, redact, and what the store and the receipt hold then."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.redact.task import redact
from tasks.run import Run
from tasks.watch.check import DriftStoppedError
from tests.tasks.logs.builders import call, make_run, query, write_lines

MAIL = "ann@example.com"


def arrive(folder: Path, run_id: str, count: int, *, day: int, seed: int, model: str = "m-1",
           **settings: Any) -> Run:  # fmt: skip
    """A run that has ingested `count` new calls of November `day`."""
    draw = random.Random(seed)
    lines = [
        call(
            number,
            request_id=f"{run_id}-{number}",
            started_at=f"2026-11-{day:02d}T10:00:00Z",
            model=draw.choice([model, "m-1", "m-2"]),
            input_tokens=draw.randrange(50, 90),
            messages=[{"role": "user", "content": f"question {draw.random()} by {MAIL}"}],
        )
        for number in range(count)
    ]
    log = write_lines(folder / f"{run_id}.jsonl", *lines)
    run = make_run(folder, log, run_id=run_id, **settings)
    ingest(run)
    return run


def test_first_calls_have_nothing_to_be_compared_with(tmp_path: Path):
    run = arrive(tmp_path, "run-1", 300, day=1, seed=1)
    drift = redact(run).notes["drift"]
    assert drift["num_judged"] == 0
    assert drift["alarms"] == []
    assert drift["not_judged"]["model"] == "reference: 0 calls, at least 200 are needed"


def test_the_same_again_is_no_alarm_and_another_model_is_one(tmp_path: Path):
    redact(arrive(tmp_path, "run-1", 400, day=1, seed=1))
    same = redact(arrive(tmp_path, "run-2", 300, day=2, seed=2)).notes["drift"]
    assert (same["num_reference"], same["num_new"], same["alarms"]) == (400, 300, [])
    run = arrive(tmp_path, "run-3", 300, day=3, seed=3, model="m-9")
    receipt = redact(run)
    (alarm,) = receipt.notes["drift"]["alarms"]
    assert alarm["column"] == "model"
    new = next(one for one in alarm["moved"] if one["value"] == "m-9")
    assert new["old_share"] == 0
    assert new["new_share"] > 0.2
    assert receipt.rows_out == 300
    assert query(run, "SELECT column_name FROM drift WHERE run_id = 'run-3' AND is_alarm") == [
        ("model",)
    ]
    # 700 calls before, of which the run's own 300 are none
    assert query(run, "SELECT DISTINCT num_reference FROM drift WHERE run_id = 'run-3' "
                      "AND column_name = 'model'") == [(700,)]  # fmt: skip


def test_calls_before_the_window_are_no_reference(tmp_path: Path):
    redact(arrive(tmp_path, "run-1", 300, day=1, seed=1))
    run = arrive(tmp_path, "run-2", 300, day=20, seed=2, drift={"reference_days": 7.0})
    assert redact(run).notes["drift"]["num_reference"] == 0


def test_one_call_a_session_is_drawn(tmp_path: Path):
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *(
        call(number, session_id=f"s{number % 25}") for number in range(300)
    )))  # fmt: skip
    ingest(run)
    assert redact(run).notes["drift"]["num_new"] == 25


def test_an_alarm_can_stop_the_run_and_nothing_is_lost(tmp_path: Path):
    redact(arrive(tmp_path, "run-1", 400, day=1, seed=1))
    run = arrive(tmp_path, "run-2", 300, day=2, seed=2, model="m-9", drift={"action": "stop"})
    with pytest.raises(DriftStoppedError, match="differ from those before in 1 column") as raised:
        redact(run)
    assert raised.value.exit_code == 3
    assert query(run, "SELECT count(*) FROM landing") == [(300,)]
    assert query(run, "SELECT count(*) FROM requests") == [(400,)]
    assert query(run, "SELECT count(*) FROM drift WHERE run_id = 'run-2' AND is_alarm") == [(1,)]
    allowed = make_run(tmp_path, run_id="run-3", drift={"action": "warn"})
    assert redact(allowed).rows_out == 300


def test_pseudonyms_are_compared_and_not_addresses(tmp_path: Path):
    """The reference is masked, so new texts must be too: else every text would differ."""
    redact(arrive(tmp_path, "run-1", 400, day=1, seed=1))
    notes = redact(arrive(tmp_path, "run-2", 400, day=2, seed=2)).notes["drift"]
    assert notes["alarms"] == []
    assert "text" not in notes["not_judged"]


def test_the_same_run_finds_the_same(tmp_path: Path):
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        redact(arrive(folder, "run-1", 300, day=1, seed=1))
        found.append(redact(arrive(folder, "run-2", 300, day=2, seed=2)).notes["drift"])
    assert found[0] == found[1]


def test_a_replay_is_not_judged_nor_a_run_that_is_told_not_to(tmp_path: Path):
    redact(arrive(tmp_path, "run-1", 300, day=1, seed=1))
    off = arrive(tmp_path, "run-2", 300, day=2, seed=2, drift={"enabled": False})
    assert "drift" not in redact(off).notes
    again = arrive(tmp_path, "run-3", 300, day=3, seed=3)
    request = replace(again.request, stages=("replay", "validate", "redact"))
    assert "drift" not in redact(replace(again, request=request)).notes


def test_no_new_call_is_no_drift(tmp_path: Path):
    assert "drift" not in redact(make_run(tmp_path)).notes


def test_odd_messages_are_no_texts(tmp_path: Path):
    parts = [{"type": "text", "text": "part"}, {"type": "image"}]
    contents = [[{"role": "user", "content": content}] for content in (None, 5, {}, parts)]
    odd = [None, [], {"a": 1}, "text", [{"role": "user"}], [7], *contents]
    lines = [call(number, messages=messages) for number, messages in enumerate(odd)]
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *lines))
    ingest(run)
    assert (
        redact(run).notes["drift"]["num_new"] == query(run, "SELECT count(*) FROM requests")[0][0]
    )
