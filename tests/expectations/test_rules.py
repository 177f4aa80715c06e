"""Rules and suites as values: ids, versions, SQL text."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.calls import calls_rules
from expectations.checks import (
    AfterNow,
    Between,
    JudgedTable,
    Matches,
    Never,
    OneOf,
    Present,
    sql_literal,
)
from expectations.contracts import LANDING
from expectations.rules import Rule, RuleSet, When

NOW = datetime.fromisoformat("2026-11-24 12:00:00")
BATCH = JudgedTable("landing", NOW)
SUITE = calls_rules(300.0)
DUCKDB = duckdb.connect()


@given(st.text(alphabet=st.characters(exclude_characters="\x00", codec="utf-8")))
def test_any_text_comes_back_from_its_sql_literal_unchanged(text: str) -> None:
    assert DUCKDB.execute(f"SELECT {sql_literal(text)}").fetchone() == (text,)


@pytest.mark.parametrize(
    "value", [0, -3, 2**62, 0.5, 604_800.0, datetime.fromisoformat("2015-01-01 03:04:05.000006")]
)
def test_a_number_or_time_comes_back_from_its_sql_literal(value: int | float | datetime) -> None:
    row = DUCKDB.execute(f"SELECT {sql_literal(value)}").fetchone()
    assert row is not None
    assert (float(row[0]) if isinstance(value, float) else row[0]) == value


def test_a_boolean_is_no_bound() -> None:
    with pytest.raises(TypeError, match="boolean"):
        sql_literal(True)


def test_the_version_changes_with_a_bound_or_severity_but_not_with_clock_or_wording() -> None:
    def version(**changes: object) -> str:
        values = {
            "id": "x",
            "severity": "critical",
            "check": Between("latency_s", 0, 1),
            "meaning": "m",
            "reason": "r",
            **changes,
        }
        return RuleSet("s", LANDING, (Rule(**values),)).version  # type: ignore[arg-type]

    assert version() == version(meaning="other", reason="words")
    assert (
        len(
            {
                version(),
                version(severity="warning"),
                version(check=Between("latency_s", 0, 2)),
                version(id="y"),
                version(check=Present("latency_s")),
                version(when=(When("status", "ok"),)),
            }
        )
        == 6
    )
    later = JudgedTable("landing", NOW + timedelta(days=1))
    assert SUITE.version == calls_rules(300.0).version != calls_rules(301.0).version
    rule = SUITE.rule("started_at_not_in_future")
    assert rule.violation_sql(BATCH) != rule.violation_sql(later)


def test_a_bound_after_now_follows_the_clock_of_the_run() -> None:
    check = Between("started_at", maximum=AfterNow(300))
    assert "2026-11-24 12:05:00" in check.violation_sql(BATCH)


def test_a_doubled_id_is_refused() -> None:
    rule = SUITE.rules[0]
    with pytest.raises(ValueError, match=f"two rules named {rule.id}"):
        RuleSet("calls", LANDING, (rule, rule))


def test_a_rule_on_an_unknown_column_is_refused() -> None:
    with pytest.raises(KeyError, match="landing has no column 'latency'"):
        RuleSet("calls", LANDING, (Rule("x", "warning", Present("latency"), "m", "r"),))


def test_a_suite_grows_by_rules_of_others_after_its_own() -> None:
    own = Rule("our_models", "warning", OneOf("model", ("a", "b")), "m", "r")
    grown = SUITE.extended([own])
    assert grown.rules == (*SUITE.rules, own)
    assert grown.version != SUITE.version
    assert grown.rule("our_models") is own


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(KeyError, match="nothing_such"):
        SUITE.rule("nothing_such")


def test_every_rule_says_what_it_means_and_why_in_sentences() -> None:
    for rule in SUITE.rules:
        assert rule.meaning.endswith("."), rule.id
        assert rule.reason.endswith("."), rule.id
        assert rule.id == rule.id.lower()
        assert len(rule.id) <= 32
    meanings = [rule.meaning for rule in SUITE.rules]
    assert len(set(meanings)) == len(meanings)


def test_a_condition_limits_the_rule_to_its_rows() -> None:
    for check in (Matches("model", "x"), Never(("model",), "model = 'x'")):
        rule = Rule("r", "warning", check, "m", "r", when=(When("status", "o'k"),))
        assert rule.violation_sql(BATCH).startswith("\"status\" = 'o''k' AND (")
