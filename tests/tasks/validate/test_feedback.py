"""Feedback through its suite: false signals are held back whole, and come back after a fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expectations.contracts import FEEDBACK, LANDING, MERGED_REPORTS, QUARANTINE, REQUESTS
from tasks.model.run import RunRequest
from tasks.redact.task import redact
from tasks.replay.task import replay
from tasks.rules.in_force import feedback_rules
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.validate.batch_stop import BatchStoppedError
from tasks.validate.task import validate
from tests.expectations.call_rows import NOW, call
from tests.expectations.feedback_rows import BAD_FEEDBACK, GOOD_FEEDBACK, signal

MakeRun = Callable[..., Run]
CRITICAL = ("feedback_names_a_call", "feedback_has_kind", "feedback_value_is_finite",
            "thumb_has_value", "thumb_is_up_or_down", "feedback_not_in_future")  # fmt: skip


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(run_id: str = "run-1", **validation: Any) -> Run:
        values = {"home": str(tmp_path), "validate": {"data_docs": False, **validation}}
        settings = parse_settings(values, base=str(tmp_path))
        return Run(run_id, RunRequest(), settings, clock=lambda: NOW)

    return make


def take_in(run: Run, rows: list[dict[str, Any]], calls: int = 1) -> None:
    with run.open_store() as store:
        store.insert(FEEDBACK, [{**row, "run_id": run.run_id} for row in rows])
        store.insert(LANDING, [call(n) for n in range(1, calls + 1)])


def known_elsewhere(run: Run) -> None:
    held = {"quarantine_id": "q", "request_id": "held", "expectation": "x", "also_failed": [],
            "suite_version": "v", "run_id": "r", "created_at": NOW, "row": "{}",
            "state": "held"}  # fmt: skip
    merged = {"request_id": "merged", "content_digest": "d", "merged_into": "m", "run_id": "r"}
    with run.open_store() as store:
        store.insert(REQUESTS, [call(0, request_id="stored")])
        store.insert(QUARANTINE, [held])
        store.insert(MERGED_REPORTS, [merged])


def ids(run: Run, table: str = "feedback") -> set[str]:
    with run.open_store() as store:
        return {row[0] for row in store.rows(f"SELECT feedback_id FROM {table}")}


def test_every_rule_has_its_bad_rows(make_run: MakeRun) -> None:
    rules = feedback_rules(make_run().settings).rules
    assert set(BAD_FEEDBACK) == {rule.id for rule in rules if rule.severity != "batch"}
    assert set(CRITICAL) == {rule.id for rule in rules if rule.severity == "critical"}


def test_false_signals_go_to_quarantine_and_odd_ones_are_counted(make_run: MakeRun) -> None:
    run = make_run()
    known_elsewhere(run)
    changes = [*GOOD_FEEDBACK, *(change for rows in BAD_FEEDBACK.values() for change in rows)]
    take_in(run, [signal(number, **change) for number, change in enumerate(changes)])
    receipt = validate(run)
    assert (receipt.rows_in, receipt.rows_out) == (1, 1)
    counted = {name: len(rows) for name, rows in BAD_FEEDBACK.items()}
    critical = {name: counted.pop(name) for name in CRITICAL}
    counted["feedback_finds_its_call"] += critical["feedback_names_a_call"]  # a blank id too
    held = sum(critical.values())
    assert receipt.notes["feedback"] == {
        "rows_in": len(changes),
        "rows_out": len(changes) - held,
        "quarantined": held,
        "by_reason": critical,
        "warnings": counted,
    }
    assert len(ids(run)) == len(changes) - held
    with run.open_store() as store:
        rows = store.rows(
            "SELECT expectation, count(*) FROM quarantine WHERE request_id <> 'held' GROUP BY 1"
        )
        assert dict(rows) == critical
        seen = "SELECT column_name, observed FROM quarantine WHERE expectation = ?"
        assert store.one(seen, ["thumb_is_up_or_down"]) == ("value", "0.5")


def test_feedback_comes_back_once_the_rule_lets_it(make_run: MakeRun) -> None:
    first = make_run(max_clock_skew_s=0.0)
    late = signal(1, given_at=NOW.replace(minute=4), comment="mail jane.doe@example.com")
    take_in(first, [late, signal(2), signal(3, value=7.0)])
    with first.open_store() as store:
        before = store.rows("SELECT * FROM feedback WHERE feedback_id = 'signal-1'")
    assert validate(first).notes["feedback"]["quarantined"] == 2
    redact(first)
    assert ids(first) == {"signal-2"}

    again = make_run("run-2", max_clock_skew_s=0.0)
    receipt = replay(again)
    assert (receipt.rows_in, receipt.rows_out, receipt.quarantined) == (2, 0, 2)

    fixed = make_run("run-3")
    receipt = replay(fixed)
    assert (receipt.rows_out, receipt.quarantined) == (1, 1)
    assert receipt.notes["by_reason"] == {"thumb_is_up_or_down": 1}
    with fixed.open_store() as store:
        after = store.rows("SELECT * FROM feedback WHERE feedback_id = 'signal-1'")
    assert after == [(*before[0][:-1], "run-3")]
    assert validate(fixed).notes["feedback"]["rows_in"] == 1
    redact(fixed)
    with fixed.open_store() as store:
        comment = store.scalar("SELECT comment FROM feedback WHERE feedback_id = 'signal-1'")
        states = dict(store.rows("SELECT quarantine_id, state FROM quarantine"))
    assert "jane.doe" not in comment
    assert states == {"signal-1": "replayed", "signal-3": "held"}


def test_feedback_that_speaks_of_unknown_calls_alone_stops_the_run(make_run: MakeRun) -> None:
    run = make_run()
    take_in(run, [signal(n, request_id=f"other-{n}") for n in range(50)], calls=2)
    with pytest.raises(BatchStoppedError, match="feedback_joins_calls") as caught:
        validate(run)
    assert caught.value.counts["batch_rules"] == {
        "feedback_joins_calls": "50 of 50, allowed share 90%"
    }
    assert "max_lost_feedback_ratio" in caught.value.line()
    assert len(ids(run)) == 50

    later = make_run("run-2")
    take_in(later, [signal(100 + n) for n in range(6)], calls=0)
    assert validate(later).notes["feedback"]["warnings"] == {"feedback_finds_its_call": 50}


def test_feedback_that_another_run_took_in_is_judged_and_masked_by_the_next(
    make_run: MakeRun,
) -> None:
    take_in(make_run("run-0"), [signal(1, value=3.0), signal(2)])
    run = make_run("run-1")
    assert validate(run).notes["feedback"]["quarantined"] == 1
    redact(run)
    with run.open_store() as store:
        assert "jane.doe" not in store.scalar("SELECT comment FROM feedback")
    assert "feedback" not in validate(make_run("run-2")).notes


def test_feedback_without_a_new_call_is_judged(make_run: MakeRun) -> None:
    run = make_run()
    take_in(run, [signal(1, request_id=" ")], calls=0)
    receipt = validate(run)
    assert receipt.rows_in == 0
    assert receipt.notes["feedback"]["by_reason"] == {"feedback_names_a_call": 1}


def test_own_rules_judge_feedback_and_mask_what_they_show(
    make_run: MakeRun, tmp_path: Path
) -> None:
    (tmp_path / "expectations").mkdir()
    (tmp_path / "expectations" / "own.toml").write_text(
        'suite = "feedback"\n[[rules]]\nid = "no_mail"\nseverity = "critical"\nkind = "sql"\n'
        'columns = ["comment"]\nnever = "comment LIKE \'%@%\'"\n'
    )
    run = make_run()
    take_in(run, [signal(1), signal(2, comment="fine")])
    assert validate(run).notes["feedback"]["by_reason"] == {"no_mail": 1}
    with run.open_store() as store:
        assert store.scalar("SELECT observed FROM quarantine") == "<email> was pleased"
