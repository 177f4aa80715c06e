"""The suite for calls: a good table passes whole, and each rule is failed by its own bad rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from expectations.calls import calls_rules
from expectations.checks import JudgedTable
from expectations.contracts import LANDING, REQUESTS
from tasks.store import Store
from tests.expectations.call_rows import BAD_ROWS, GOOD_CHANGES, NOW, call

SUITE = calls_rules(300.0)
BATCH = JudgedTable("landing", NOW)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(Path(tmp_path_factory.mktemp("store")) / "flywheel.duckdb") as opened:
        opened.insert(REQUESTS, [call(9999, request_id="known")])
        yield opened


def failed_rules(store: Store, rows: list[dict[str, Any]]) -> dict[str, int]:
    """Rule id → rows that violate it, over a landing table of exactly these rows."""
    store.execute("DELETE FROM landing")
    store.insert(LANDING, rows)
    counts = {
        rule.id: store.scalar(f"SELECT count(*) FROM landing WHERE {rule.violation_sql(BATCH)}")
        for rule in SUITE.rules
    }
    return {name: rows for name, rows in counts.items() if rows}


def test_a_good_table_fails_nothing(store: Store) -> None:
    rows = [call(number, **changes) for number, changes in enumerate(GOOD_CHANGES)]
    assert failed_rules(store, rows) == {}


def test_every_rule_has_its_bad_rows() -> None:
    assert set(BAD_ROWS) == {rule.id for rule in SUITE.rules}


@pytest.mark.parametrize("rule_id", BAD_ROWS)
def test_a_bad_row_fails_only_its_own_rule(store: Store, rule_id: str) -> None:
    rows = [call(number, **changes) for number, changes in enumerate(BAD_ROWS[rule_id], start=1)]
    assert failed_rules(store, [call(0), *rows]) == {rule_id: len(rows)}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_duration_that_is_no_number_is_no_missing_value(store: Store, value: float) -> None:
    assert failed_rules(store, [call(0, latency_s=value, ttft_s=None)]) == {"latency_possible": 1}


def test_token_counts_beyond_64_bits_in_sum_stop_no_query(store: Store) -> None:
    huge = 2**63 - 1
    row = call(
        0,
        input_tokens=huge,
        output_tokens=huge,
        total_tokens=-huge,
        cached_tokens=huge,
        reasoning_tokens=huge,
    )
    assert "total_tokens_add_up" in failed_rules(store, [row])


def test_messages_nested_a_thousand_deep_are_judged(store: Store) -> None:
    deep = "[" * 1000 + "]" * 1000
    row = call(0, messages=f'[{{"role": "user", "content": {deep}}}]')
    assert failed_rules(store, [row]) == {}


def test_the_same_id_and_content_as_a_stored_call_is_no_conflict(store: Store) -> None:
    assert failed_rules(store, [call(9999, request_id="known")]) == {}
