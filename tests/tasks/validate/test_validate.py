"""The validate stage on a real store: what goes where, whole and once, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expectations.calls import calls_rules
from expectations.contracts import CALL_FIELDS, LANDING, REQUESTS
from expectations.rules import Rule, RuleSet
from tasks.errors import UsageError
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.rules.in_force import calls_rules as composed
from tasks.rules.outcomes import JudgesDisagreeError
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.validate.batch_stop import BatchStoppedError
from tasks.validate.task import validate
from tests.expectations.call_rows import BAD_ROWS, NOW, call

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"
ALL_COLUMNS = ", ".join(f'"{name}"' for name in LANDING.column_names)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    def make(run_id: str = "20261124-120000-aaaaaa", **validation: Any) -> Run:
        values = {"home": str(tmp_path), "validate": {"data_docs": False, **validation}}
        settings = parse_settings(values, base=str(tmp_path))
        return Run(run_id, RunRequest(), settings, clock=lambda: NOW)

    return make


@pytest.fixture
def few_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the suite, for tests that turn several times: GX takes a second for all of it."""
    names = ("has_model", "messages_are_a_list", "known_status", "has_status")
    suite = calls_rules(300.0)
    part = RuleSet(suite.name, suite.table, tuple(suite.rule(name) for name in names))
    monkeypatch.setattr("tasks.validate.task.calls_rules", lambda _: part)


def land(run: Run, rows: list[dict[str, Any]]) -> None:
    with run.open_store() as store:
        store.insert(LANDING, rows)


def table(store: Store, name: str, columns: str = "*", order: str = "1") -> list[tuple[Any, ...]]:
    return store.rows(f"SELECT {columns} FROM {name} ORDER BY {order}")


def bad_calls() -> list[dict[str, Any]]:
    changes = [change for rows in BAD_ROWS.values() for change in rows]
    return [call(1000 + number, **change) for number, change in enumerate(changes)]


def test_bad_calls_go_to_quarantine_with_their_reason_and_good_ones_stay(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    land(run, [*(call(number) for number in range(200)), *bad_calls()])
    with run.open_store() as store:
        store.insert(REQUESTS, [call(9999, request_id="known")])

    receipt = validate(run)

    suite = composed(run.settings)
    critical = {r.id: len(BAD_ROWS[r.id]) for r in suite.of("critical")}
    warnings = {r.id: len(BAD_ROWS[r.id]) for r in suite.of("warning")}
    assert receipt.notes["by_reason"] == critical
    assert receipt.notes["warnings"] == warnings
    assert receipt.quarantined == sum(critical.values())
    assert receipt.rows_in == receipt.rows_out + receipt.quarantined
    assert receipt.notes["success"] is True
    assert receipt.notes["suite_version"] == suite.version
    assert receipt.notes["data_docs"] is None
    with run.open_store() as store:
        assert store.scalar("SELECT count(*) FROM landing") == receipt.rows_out
        found = store.rows("SELECT expectation, count(*) FROM quarantine GROUP BY 1")
        assert dict(found) == critical
        assert store.rows("SELECT DISTINCT state, run_id, suite_version FROM quarantine") == [
            ("held", run.run_id, suite.version)
        ]
        assert ledger.finished_stage(store, run.run_id, "validate") == receipt


def test_a_call_with_several_faults_is_quarantined_once_under_the_first(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    land(run, [call(0), call(1, model=None, latency_s=-1.0, ttft_s=None, input_tokens=-3)])
    receipt = validate(run)
    assert receipt.notes["by_reason"] == {"has_model": 1}
    with run.open_store() as store:
        columns = "expectation, also_failed, column_name, observed"
        assert table(store, "quarantine", columns) == [
            (
                "has_model",
                [
                    "input_tokens_possible",
                    "total_tokens_add_up",
                    "cached_within_input",
                    "latency_possible",
                ],
                "model",
                "NULL",
            )
        ]


def test_a_quarantined_row_is_whole_and_gives_every_column_back(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    row = call(
        1,
        model=None,
        messages=[{"role": "user", "content": f'"quoted" \\ \n {SECRET} é 😀 {{batch}} :x'}],
        tags={"nested": {"list": [1, 2.5, None, True]}},
        latency_s=float("nan"),
        cost_usd=float("inf"),
        input_tokens=2**63 - 1,
        sources=["a'b.jsonl:1", 'c"d.jsonl:2'],
    )
    land(run, [row])
    with run.open_store() as store:
        before = table(store, "landing", ALL_COLUMNS)
    validate(run)
    members = ", ".join(
        f'"row"->\'$.{c.name}\' AS "{c.name}"'
        if c.sql_type == "JSON"
        else f'CAST("row"->\'$.{c.name}\' AS {c.sql_type}) AS "{c.name}"'
        if c.sql_type.endswith("[]")
        else f'CAST("row"->>\'$.{c.name}\' AS {c.sql_type}) AS "{c.name}"'
        for c in LANDING.columns
    )
    with run.open_store() as store:
        after = store.rows(f"SELECT {members} FROM quarantine")
        text = store.scalar('SELECT "row" FROM quarantine')
    pairs = list(zip(LANDING.columns, before[0], after[0], strict=True))
    for column, old, new in pairs:
        if column.sql_type == "JSON":
            old, new = (None if v in (None, "null") else json.loads(v) for v in (old, new))
        assert str(old) == str(new), column.name
    strict = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert strict["started_at"] == "2026-11-24T11:00:00.000000"
    assert set(CALL_FIELDS) < set(strict)


def test_the_observed_value_is_short_and_without_secrets(make_run: Callable[..., Run]) -> None:
    run = make_run()
    long = "word " * 100
    huge = SECRET + "x" * 5000
    land(
        run,
        [
            call(1, status=f"key {SECRET} of jane.doe@example.com"),
            call(2, status=long),
            call(3, status=huge),
            call(4, messages={"role": "user", "content": SECRET}),
        ],
    )
    validate(run)
    with run.open_store() as store:
        shown = dict(store.rows("SELECT request_id, observed FROM quarantine"))
    assert all(len(text) < 240 for text in shown.values())
    assert not any(SECRET[:12] in text for text in shown.values())
    assert shown["call-1"] == "key <secret> of <email>"
    assert shown["call-2"].endswith("… (499 characters)")
    assert shown["call-3"] == f"({len(huge)} characters)"
    assert shown["call-4"] == '{"role":"VARCHAR","content":"VARCHAR"}'


@pytest.mark.usefixtures("few_rules")
def test_the_same_record_twice_is_two_rows_in_quarantine(make_run: Callable[..., Run]) -> None:
    run = make_run()
    land(run, [call(1, model=None), call(1, model=None)])
    receipt = validate(run)
    with run.open_store() as store:
        assert receipt.quarantined == store.scalar("SELECT count(*) FROM quarantine") == 2
        assert store.scalar("SELECT count(*) FROM landing") == 0


@pytest.mark.usefixtures("few_rules")
def test_a_replayed_call_that_fails_again_takes_its_old_place(
    make_run: Callable[..., Run],
) -> None:
    first, second = make_run(), make_run("20261125-120000-bbbbbb")
    land(first, [call(1, model=None)])
    validate(first)
    with first.open_store() as store:
        store.execute("UPDATE quarantine SET state = 'replayed'")
    land(second, [call(1, model=None)])
    assert validate(second).quarantined == 1
    with second.open_store() as store:
        assert table(store, "quarantine", "run_id, state") == [(second.run_id, "held")]


@pytest.mark.usefixtures("few_rules")
def test_too_many_bad_calls_stop_the_run_and_move_nothing(make_run: Callable[..., Run]) -> None:
    run = make_run(max_quarantined_ratio=0.2, data_docs=True)
    land(run, [call(number, model=None if number < 21 else "m") for number in range(100)])
    with run.open_store() as store:
        before = table(store, "landing", ALL_COLUMNS)
    with pytest.raises(BatchStoppedError) as caught:
        validate(run)
    assert caught.value.exit_code == 3
    assert caught.value.counts == {
        "rows_in": 100,
        "rows_out": 79,
        "quarantined": 21,
        "by_reason": {"has_model": 21},
        "success": False,
    }
    line = caught.value.line()
    for part in (
        "21 of 100 (21%)",
        "has_model 21",
        "20% of the calls",
        "flywheel sql 'select",
        "max_quarantined_ratio",
        "index.html",
    ):
        assert part in line
    with run.open_store() as store:
        assert table(store, "landing", ALL_COLUMNS) == before
        assert store.scalar("SELECT count(*) FROM quarantine") == 0
        assert ledger.finished_stage(store, run.run_id, "validate") is None
        query = line.partition("flywheel sql '")[2].partition("'")[0]
        assert len(store.rows(query)) == 20
    page = (run.settings.home_path / "data-docs" / "index.html").read_text()
    assert "batch stopped: nothing was moved" in page

    calmer = make_run(max_quarantined_ratio=0.21)
    assert validate(calmer).quarantined == 21


@pytest.mark.usefixtures("few_rules")
def test_a_handful_of_calls_is_too_few_for_a_share(make_run: Callable[..., Run]) -> None:
    run = make_run(max_quarantined_ratio=0.0, min_rows_for_ratio=4)
    land(run, [call(number, model=None) for number in range(3)])
    assert validate(run).quarantined == 3


def test_nothing_new_is_finished_without_judging(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.rules.gx.judge", lambda *_: pytest.fail("it was asked"))
    run = make_run()
    receipt = validate(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.quarantined) == (0, 0, 0)
    assert receipt.notes["success"] is True
    assert receipt.notes["by_reason"] == {}
    assert "nothing to judge" in receipt.notes["note"]
    with run.open_store() as store:
        assert ledger.finished_stage(store, run.run_id, "validate") == receipt


@pytest.mark.usefixtures("few_rules")
def test_a_crash_before_the_commit_leaves_landing_and_the_rerun_gives_the_same(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(max_quarantined_ratio=1.0)
    land(run, [call(0), *bad_calls()])
    with run.open_store() as store:
        before = table(store, "landing", ALL_COLUMNS)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "finish_stage", crash)
        with pytest.raises(KeyboardInterrupt):
            validate(run)
    with run.open_store() as store:
        assert table(store, "landing", ALL_COLUMNS) == before
        assert store.scalar("SELECT count(*) FROM quarantine") == 0
    receipt = validate(run)
    with run.open_store() as store:
        left = store.scalar("SELECT count(*) FROM landing")
        held = store.scalar("SELECT count(*) FROM quarantine")
        assert (left, held) == (receipt.rows_out, receipt.quarantined)
        assert left + held == len(before)


@pytest.mark.usefixtures("few_rules")
def test_a_finished_stage_hands_its_receipt_back_and_judges_nothing_again(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    land(run, [call(0), call(1, model=None)])
    receipt: Receipt = validate(run)
    land(run, [call(2, model=None)])
    assert validate(run) == receipt
    with run.open_store() as store:
        assert store.scalar("SELECT count(*) FROM landing") == 2


@pytest.mark.usefixtures("few_rules")
def test_judges_that_disagree_stop_the_run_and_move_nothing(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = Rule.violation_sql
    monkeypatch.setattr(
        Rule,
        "violation_sql",
        lambda rule, batch: "false" if rule.id == "has_model" else sql(rule, batch),
    )
    run = make_run()
    land(run, [call(0), call(1, model=None)])
    with pytest.raises(JudgesDisagreeError, match="disagree on expectation has_model"):
        validate(run)
    with run.open_store() as store:
        assert store.scalar("SELECT count(*) FROM landing") == 2


def test_hostile_values_are_only_values(make_run: Callable[..., Run]) -> None:
    run = make_run()
    hostile = "x'); DROP TABLE quarantine; -- {batch} {0} :name %s \\' \" \x1b[31m <script>"
    columns = ("request_id", "model", "status", "session_id", "finish_reason", "error_type")
    land(run, [call(0), call(1, **dict.fromkeys(columns, hostile), sources=[hostile])])
    assert validate(run).notes["by_reason"] == {"known_status": 1}
    with run.open_store() as store:
        assert store.scalar("SELECT \"row\"->>'$.status' FROM quarantine") == hostile


def own_rules(run: Run, text: str) -> None:
    folder = Path(run.settings.base) / "expectations"
    folder.mkdir()
    (folder / "own.toml").write_text(text, encoding="utf-8")


def test_a_rule_of_the_users_own_quarantines_and_is_part_of_the_version(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    own_rules(run, '[[rules]]\nid="one_model"\nseverity="critical"\nkind="one_of"\n'
              'column="model"\nvalues=["smol"]')  # fmt: skip
    land(run, [call(0), call(1, model="gpt")])
    receipt = validate(run)
    assert receipt.notes["by_reason"] == {"one_model": 1}
    with run.open_store() as store:
        assert table(store, "quarantine", "observed, suite_version") == [
            ("gpt", receipt.notes["suite_version"])
        ]
    assert receipt.notes["suite_version"] != calls_rules(300.0).version


def test_a_rule_that_a_row_cannot_answer_is_named_and_moves_nothing(
    make_run: Callable[..., Run],
) -> None:
    run = make_run()
    own_rules(run, '[[rules]]\nid="number"\nkind="sql"\ncolumns=["model"]\n'
              'never="model::INTEGER > 3"')  # fmt: skip
    land(run, [call(0, model=SECRET)])
    with pytest.raises(UsageError, match=r"own.toml, rule number cannot be judged") as caught:
        validate(run)
    assert SECRET not in caught.value.line()
    with run.open_store() as store:
        assert store.scalar("SELECT count(*) FROM landing") == 1
