"""Great Expectations over DuckDB, our own SQL and GX's pandas engine find the same rows.

The pandas engine runs every rule that is not a SQL predicate: an engine that shares no code with
DuckDB. Both are asked about one table of bad rows and one of random ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from expectations.calls import calls_suite
from expectations.checks import Batch, Present
from expectations.contracts import LANDING, REQUESTS
from expectations.rules import Rule, Suite
from tasks.judging.gx import judge, outcomes_of
from tasks.judging.outcomes import (
    JudgesDisagreeError,
    RuleOutcome,
    check_agreement,
)
from tasks.store import Store, quarantine
from tests.expectations.call_rows import BAD_ROWS, GOOD_CHANGES, NOW, call

SUITE = calls_suite(300.0)
BATCH = Batch("landing", NOW)


@dataclass(frozen=True)
class Judged:
    """One table, judged three ways; `pandas` speaks only of the rules that engine can run."""

    duckdb: dict[str, int]
    ours: dict[str, int]
    pandas: dict[str, int]
    store: Store


def bad_rows() -> list[dict[str, Any]]:
    changes = [*GOOD_CHANGES, *(change for rows in BAD_ROWS.values() for change in rows)]
    return [call(number, **change) for number, change in enumerate(changes)]


def random_rows(num_rows: int = 3000, seed: int = 7) -> list[dict[str, Any]]:
    """Rows whose fields are drawn each on its own from values inside and outside the bounds."""
    draw = random.Random(seed)
    counts = [None, -5, -1, 0, 1, 7, 10_000_000, 10_000_001, 20_000_001, 2**53]
    seconds = [None, -0.1, 0.0, 0.2, 1.5, 604_800.0, 604_800.1]
    times = [
        None,
        datetime.fromisoformat("1970-01-01 00:00:00"),
        datetime.fromisoformat("2014-12-31 23:59:00"),
        datetime.fromisoformat("2015-01-01 00:00:00"),
        NOW,
        NOW + timedelta(seconds=300),
        NOW + timedelta(seconds=300.5),
    ]
    pools: dict[str, list[Any]] = {
        "model": [None, "", "  ", "m", "'; DROP TABLE landing; --"],
        "messages": [None, "[]", '[{"role": "user"}]', '[{"role": "user", "content": "x"}]'],
        "response": [None, "{}", '"text"', '{"role": "assistant", "content": "x"}'],
        "status": [None, "ok", "ok", "error", "OK"],
        "error_type": [None, "Timeout"],
        "finish_reason": [None, "stop", "length", "tool_calls"],
        "http_status": [None, 0, 99, 100, 200, 399, 400, 599, 600],
        "retries": [None, -1, 0, 1000, 1001],
        "cost_usd": [None, -0.01, 0.0, 10_000.0, 10_000.01],
        "started_at": times,
        **dict.fromkeys(("ttft_s", "latency_s"), seconds),
        **{column.name: counts for column in LANDING.columns if column.name.endswith("_tokens")},
    }
    ids = [None, *(f"call-{number}" for number in range(num_rows))]
    return [
        call(
            number,
            request_id=draw.choice(ids),
            **{name: draw.choice(pool) for name, pool in pools.items()},
        )
        for number in range(num_rows)
    ]


def judge_with_pandas(store: Store) -> dict[str, int]:
    import great_expectations as gx

    rules = tuple(rule for rule in SUITE.rules if rule.check.expectation(BATCH) is not None)
    suite = Suite("calls", LANDING, rules)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("landing")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(
        {"dataframe": store.frame("SELECT * FROM landing")}
    )
    result = batch.validate(suite.to_gx(BATCH), result_format="BASIC")
    outcomes = outcomes_of(result, suite)
    assert [outcome for outcome in outcomes if outcome.exception] == []
    return {outcome.rule_id: outcome.unexpected_rows for outcome in outcomes}


@pytest.fixture(scope="module", params=[bad_rows, random_rows])
def judged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Judged]:
    with Store.open(Path(tmp_path_factory.mktemp("store")) / "flywheel.duckdb") as store:
        store.insert(LANDING, request.param())
        store.insert(REQUESTS, [call(9999, request_id="known"), call(9998, request_id="call-3")])
        outcomes = judge(store.connection, SUITE, BATCH).outcomes
        check = {rule.id: rule.violation_sql(BATCH) for rule in SUITE.rules}
        ours = quarantine.mark_violations(store, check, {})
        check_agreement(outcomes, ours, SUITE)
        yield Judged(
            {outcome.rule_id: outcome.unexpected_rows for outcome in outcomes},
            ours,
            judge_with_pandas(store),
            store,
        )


def test_gx_over_duckdb_finds_what_our_sql_finds(judged: Judged) -> None:
    assert judged.duckdb == judged.ours


def test_gx_over_pandas_finds_what_our_sql_finds(judged: Judged) -> None:
    assert len(judged.pandas) > len(SUITE.rules) / 2
    assert judged.pandas == {name: judged.ours[name] for name in judged.pandas}


def test_gx_results_hold_no_value_of_a_row(judged: Judged) -> None:
    result = judge(judged.store.connection, SUITE, BATCH).result
    text = str(result.to_json_dict())
    assert "DROP TABLE" not in text
    assert "call-3" not in text


def test_a_rule_gx_cannot_judge_is_an_exception_without_row_values(tmp_path: Path) -> None:
    wider = SUITE.table.renamed("landing", "", ())
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        store.insert(LANDING, [call(0)])
        store.execute("ALTER TABLE landing DROP COLUMN provider")
        suite = Suite("calls", wider, (Rule("p", "critical", Present("provider"), "M.", "R."),))
        outcome = judge(store.connection, suite, BATCH).outcome("p")
    assert not outcome.success
    assert outcome.exception is not None
    with pytest.raises(JudgesDisagreeError, match="expectation p could not be judged"):
        check_agreement([outcome], {"p": 0}, suite)


X = Rule("x", "critical", Present("model"), "M.", "R.")


@pytest.mark.parametrize(
    "outcome", [RuleOutcome("x", True, 0), RuleOutcome("x", False, 2), RuleOutcome("x", True, 1)]
)
def test_a_disagreement_names_the_expectation_and_both_counts(outcome: RuleOutcome) -> None:
    with pytest.raises(JudgesDisagreeError, match=r"expectation x.*against 1 rows") as caught:
        check_agreement([outcome], {"x": 1}, Suite("calls", LANDING, (X,)))
    assert caught.value.exit_code == 4


def test_a_predicate_speaks_of_rows_whose_shown_column_is_null_in_every_row(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        store.insert(LANDING, [call(0, response=None), call(1, response=None)])
        outcome = judge(store.connection, SUITE, BATCH).outcome("has_response_when_ok")
    assert outcome == RuleOutcome("has_response_when_ok", False, 2)
