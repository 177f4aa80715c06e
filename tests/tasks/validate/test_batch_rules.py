"""Rules on a batch as a whole: they stop the run before anything is moved, and say why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from expectations.batches import BatchLimits, share_rules
from expectations.checks import JudgedTable
from expectations.contracts import BATCH_PROFILE, LANDING, REQUESTS
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.intake.profile import write_profile
from tasks.validate.batch_stop import BatchStoppedError
from tasks.validate.task import validate
from tests.expectations.call_rows import NOW, call

MONDAY = datetime.fromisoformat("2026-11-23 09:00:00")
MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Runs that judge by the batch rules only: GX takes a second for the whole suite."""
    monkeypatch.setattr("expectations.calls._IDENTITY", ())
    monkeypatch.setattr("expectations.calls.CONTENT_RULES", ())
    for name in ("_TOKENS", "_DURATIONS", "_OUTCOME", "_COMPLETENESS"):
        monkeypatch.setattr(f"expectations.calls.{name}", ())

    def make(run_id: str = "run-1", *, now: datetime = NOW, **validation: Any) -> Run:
        values = {"home": str(tmp_path), "validate": {"data_docs": False, **validation}}
        return Run(
            run_id, RunRequest(), parse_settings(values, base=str(tmp_path)), clock=lambda: now
        )

    return make


def land(run: Run, rows: list[dict[str, Any]]) -> None:
    with run.open_store() as store:
        store.insert(LANDING, rows)


def day_of(start: datetime, num_calls: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        call(first + n, started_at=start + timedelta(seconds=n), session_id=f"s{n}")
        for n in range(num_calls)
    ]


def history(run: Run, weeks: int, num_calls: int = 60, day: datetime = MONDAY) -> None:
    """So many stored calls on the same weekday of each week before, and a Tuesday of another."""
    with run.open_store() as store:
        for week in range(1, weeks + 1):
            first = 10_000 * week
            store.insert(REQUESTS, day_of(day - timedelta(weeks=week), num_calls, first))
            store.insert(
                REQUESTS, day_of(day - timedelta(weeks=week, days=-1), 5, first + num_calls)
            )


def stopped(run: Run) -> BatchStoppedError:
    """The stop, after a look that nothing was moved and no stage was finished."""
    with run.open_store() as store:
        before = store.rows("SELECT * FROM landing ORDER BY request_id")
    with pytest.raises(BatchStoppedError) as caught:
        validate(run)
    with run.open_store() as store:
        assert store.rows("SELECT * FROM landing ORDER BY request_id") == before
        assert store.scalar("SELECT count(*) FROM quarantine") == 0
        assert ledger.finished_stage(store, run.run_id, "validate") is None
    assert caught.value.exit_code == 3
    assert caught.value.counts["success"] is False
    return caught.value


def passed(run: Run) -> Receipt:
    receipt = validate(run)
    assert receipt.rows_out == receipt.rows_in
    return receipt


def test_a_first_run_has_no_volume_to_compare_with_and_says_so(make_run: MakeRun) -> None:
    run = make_run()
    land(run, day_of(MONDAY, 3))
    notes = passed(run).notes["batch"]
    assert notes["volume"] == "no verdict: 0 of 3 same weekdays are stored"
    assert (notes["day"], notes["day_calls"], notes["volume_ratio"]) == ("2026-11-23", 3, None)


@pytest.mark.parametrize(
    ("weeks", "num_calls", "why"),
    [(2, 60, "2 of 3 same weekdays are stored"), (4, 40, "the same weekdays had too few calls")],
)
def test_too_little_history_is_no_verdict(
    make_run: MakeRun, weeks: int, num_calls: int, why: str
) -> None:
    run = make_run()
    history(run, weeks, num_calls)
    land(run, day_of(MONDAY, 1))
    assert passed(run).notes["batch"]["volume"] == f"no verdict: {why}"


def test_a_day_that_is_not_over_is_not_compared(make_run: MakeRun) -> None:
    run = make_run(now=MONDAY + timedelta(hours=5))
    history(run, 4)
    land(run, day_of(MONDAY, 1))
    assert passed(run).notes["batch"]["volume"] == "no verdict: no whole day of calls came in"


def test_a_day_with_few_calls_stops_the_run_until_the_rest_is_there(make_run: MakeRun) -> None:
    run = make_run()
    history(run, 4)
    land(run, day_of(MONDAY, 11))
    error = stopped(run)
    assert error.counts["batch_rules"] == {"volume_not_low": "volume_ratio 0.183"}
    for part in ("volume_not_low", "0.2 times", "nothing was moved", "min_volume_ratio"):
        assert part.lower() in error.line().lower()
    assert "flywheel sql 'from batch_profile'" in error.line()

    later = make_run("run-2")
    land(later, day_of(MONDAY + timedelta(hours=1), 20, first=500))
    receipt = passed(later)
    assert receipt.rows_out == 31
    assert receipt.notes["batch"]["volume_ratio"] == pytest.approx(31 / 60)


def test_calls_of_the_day_that_are_stored_already_count(make_run: MakeRun) -> None:
    run = make_run()
    history(run, 4)
    with run.open_store() as store:
        store.insert(REQUESTS, day_of(MONDAY, 55))
    land(run, day_of(MONDAY + timedelta(hours=2), 5, first=900))
    assert passed(run).notes["batch"]["volume_ratio"] == 1.0


def test_a_day_with_many_calls_stops_the_run(make_run: MakeRun) -> None:
    run = make_run()
    history(run, 3)
    land(run, day_of(MONDAY, 301))
    assert list(stopped(run).counts["batch_rules"]) == ["volume_not_high"]
    assert passed(make_run("run-2", max_volume_ratio=0.0)).rows_out == 301


def test_logs_that_stop_coming_stop_the_run_even_without_a_new_call(make_run: MakeRun) -> None:
    run = make_run(max_age_h=24.0, now=MONDAY + timedelta(hours=25))
    with run.open_store() as store:
        store.insert(REQUESTS, day_of(MONDAY, 1))
        store.insert(REQUESTS, [call(99, started_at=MONDAY + timedelta(days=9))])  # a wrong clock
    assert stopped(run).counts["batch_rules"] == {"fresh": "age_h 25"}
    assert passed(make_run("run-2", max_age_h=24.0, now=MONDAY + timedelta(hours=24))).rows_in == 0
    assert "batch" not in passed(make_run("run-3", now=MONDAY + timedelta(days=9))).notes


def test_an_empty_store_is_not_stale(make_run: MakeRun) -> None:
    assert passed(make_run(max_age_h=1.0)).rows_in == 0


def half(**changes: Any) -> list[dict[str, Any]]:
    return [call(n, **(changes if n % 2 else {})) for n in range(60)]


def asked(content: Any) -> dict[str, str]:
    """As ingest writes it: text stands as it is."""
    return {"messages": json.dumps([{"role": "user", "content": content}], ensure_ascii=False)}


@pytest.mark.parametrize(
    ("changes", "settings", "rule"),
    [
        ({"session_id": None}, {"max_null_ratio": {"session_id": 0.4}}, "few_nulls_session_id"),
        (asked("caf\N{REPLACEMENT CHARACTER}"), {}, "whole_text"),
        (asked("cafÃ©"), {}, "whole_text"),
        ({"response": '{"role": "assistant", "content": "itâ€™s"}'}, {}, "whole_text"),
        (
            asked("Где мой заказ FW-1?"),
            {"scripts": ["Latin"]},
            "expected_scripts",
        ),
        (
            asked([{"type": "text", "text": "Где"}]),
            {"scripts": ["Latin", "Greek"]},
            "expected_scripts",
        ),
    ],
)
def test_a_share_of_odd_calls_stops_the_run_and_the_limit_lets_it_pass(
    make_run: MakeRun, changes: dict[str, Any], settings: dict[str, Any], rule: str
) -> None:
    run = make_run(**settings)
    land(run, half(**changes))
    error = stopped(run)
    by_rule: Any = error.counts["batch_rules"]
    (found,) = by_rule.items()
    assert found[0] == rule
    assert found[1].startswith("30 of 60, allowed share ")
    off = {"max_garbled_ratio": 0.5, "max_other_script_ratio": 0.5}
    nulls = {"max_null_ratio": dict.fromkeys(settings.get("max_null_ratio", ()), 0.5)}
    assert passed(make_run("run-2", **{**settings, **off, **nulls})).rows_out == 60


def test_letters_that_belong_there_are_no_trouble(make_run: MakeRun) -> None:
    run = make_run(scripts=["Latin"])
    texts = ("Ça coûte 3 €, à bientôt", "São Ão ÃO", "12345 :-)", "", "naïve “quotes” – dash")
    rows = [call(n, **asked(texts[n % len(texts)])) for n in range(60)]
    land(run, [*rows, call(99, messages=None, response=None)])
    passed(run)


def test_a_share_of_a_handful_stops_nothing(make_run: MakeRun) -> None:
    run = make_run(max_null_ratio={"session_id": 0.4})
    land(run, half(session_id=None)[:49])
    passed(run)


def test_own_batch_rules_stop_the_run_and_name_their_file(
    make_run: MakeRun, tmp_path: Path
) -> None:
    folder = tmp_path / "expectations"
    folder.mkdir()
    (folder / "own.toml").write_text(
        '[[rules]]\nid = "no_tests"\nseverity = "batch"\nkind = "sql"\ncolumns = ["session_id"]\n'
        "never = \"session_id = 'test'\" "
    )
    (folder / "size.toml").write_text(
        'suite = "batch"\n[[rules]]\nid = "enough"\nseverity = "batch"\nkind = "between"\n'
        'column = "num_calls"\nmin = 3\n[[rules]]\nid = "has_day"\nkind = "not_null"\n'
        'column = "day"\n'
    )
    run = make_run()
    land(run, [call(0), call(1, session_id="test")])
    error = stopped(run)
    assert error.counts["batch_rules"] == {
        "no_tests": "1 of 2, allowed share 0%",
        "enough": "num_calls 2",
    }
    assert "fix own.toml" in error.line()
    (folder / "own.toml").unlink()
    later = make_run("run-2")
    land(later, [call(2)])
    assert passed(later).notes["warnings"] == {"has_day": 1}


def test_what_stopped_the_batch_is_on_the_page(make_run: MakeRun) -> None:
    run = make_run(data_docs=True, max_null_ratio={"session_id": 0.4})
    land(run, half(session_id=None))
    stopped(run)
    page = (run.settings.home_path / "data-docs" / "index.html").read_text()
    assert "batch stopped: nothing was moved" in page
    assert "30 of 60, allowed share 40%" in page
    assert "volume_not_low (batch): The newest whole day" in page


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "flywheel.duckdb") as opened:
        yield opened


def test_the_profile_has_the_columns_and_types_it_declares(store: Store) -> None:
    write_profile(store, NOW, 50)
    declared = [(column.name, column.sql_type) for column in BATCH_PROFILE.columns]
    assert [row[:2] for row in store.rows("DESCRIBE batch_profile")] == declared


def test_a_limit_of_one_makes_no_rule() -> None:
    nothing = BatchLimits(max_null_ratio={"model": 1.0}, scripts=("Latin",))
    assert share_rules(nothing) == ()


def test_garbled_text_is_found_in_a_million_characters_of_hostile_text(store: Store) -> None:
    (rule,) = share_rules(BatchLimits(max_garbled_ratio=0.1))
    text = "Ãa" * 500_000 + "'; DROP TABLE landing; -- %s {0}"
    store.insert(LANDING, [call(0, **asked(text))])
    sql = rule.violation_sql(JudgedTable("landing", NOW))
    assert store.scalar(f"SELECT count(*) FROM landing WHERE {sql}") == 0
