"""Great Expectations over DuckDB, our own SQL and GX's pandas engine find the same rows.

Asked of every expectation of every suite, over tables of bad rows and of random ones. The pandas
engine, which shares no code with DuckDB, runs every rule that is not a SQL predicate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from expectations.calls import calls_rules
from expectations.checks import JudgedTable, Present
from expectations.contracts import LANDING
from expectations.rules import Rule, RuleSet
from tasks.rules import in_force as rule_sets
from tasks.rules.gx import judge, outcomes_of, validated
from tasks.rules.outcomes import JudgesDisagreeError, RuleOutcome, check_agreement
from tasks.store import Store
from tasks.store.held import marks
from tests.expectations.call_rows import NOW, call
from tests.tasks.rules.rule_sets import CASES, SETTINGS, Case

SUITE = calls_rules(300.0)
BATCH = JudgedTable("landing", NOW)
Found = dict[str, tuple[int, bool]]


@dataclass(frozen=True)
class Judged:
    """One table, judged three ways: rule id → rows that violate it, and whether it passes."""

    case: Case
    duckdb: Found
    pandas: Found
    ours: dict[str, int]
    store: Store


def judge_with_pandas(store: Store, case: Case, batch: JudgedTable) -> Found:
    """Only the rules that GX has an expectation of its own for: predicates are SQL."""
    import great_expectations as gx

    rules = tuple(rule for rule in case.rule_set.rules if rule.check.expectation(batch) is not None)
    rule_set = RuleSet(case.rule_set.name, case.rule_set.table, rules)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("rows")
    frame = asset.add_batch_definition_whole_dataframe("all").get_batch(
        {"dataframe": store.frame(f"SELECT * FROM {batch.table}")}
    )
    outcomes = outcomes_of(frame.validate(rule_set.to_gx(batch), result_format="BASIC"), rule_set)
    assert [outcome for outcome in outcomes if outcome.exception] == []
    return _found(outcomes)


def _found(outcomes: tuple[RuleOutcome, ...]) -> Found:
    return {outcome.rule_id: (outcome.unexpected_rows, outcome.success) for outcome in outcomes}


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def judged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Judged]:
    case: Case = request.param
    batch = JudgedTable(case.rule_set.table.name, NOW)
    with Store.open(Path(tmp_path_factory.mktemp("store")) / "flywheel.duckdb") as store:
        case.insert(store)
        outcomes = judge(store, case.rule_set, batch)
        predicates = {rule.id: rule.violation_sql(batch) for rule in case.rule_set.rules}
        ours = marks.mark_violations(
            store, marks.Rows(batch.table, "rowid", "marks"), predicates, {}
        )
        check_agreement(outcomes, ours, case.rule_set)
        assert marks.count_violations(store, batch.table, predicates) == ours
        yield Judged(case, _found(outcomes), judge_with_pandas(store, case, batch), ours, store)


def test_gx_over_duckdb_finds_what_our_sql_finds(judged: Judged) -> None:
    assert {name: rows for name, (rows, _) in judged.duckdb.items()} == judged.ours
    for rule in judged.case.rule_set.rules:
        if rule.max_ratio == 0:
            assert judged.duckdb[rule.id][1] == (judged.ours[rule.id] == 0)


def test_gx_over_pandas_finds_what_gx_over_duckdb_finds(judged: Judged) -> None:
    # NaN is a number in DuckDB and a missing value in pandas, and only weights have some here
    unlike = {"weight_possible"} if judged.case.name == "samples-bad_samples" else set()
    assert {name: found for name, found in judged.pandas.items() if name not in unlike} == {
        name: judged.duckdb[name] for name in judged.pandas if name not in unlike
    }


def test_the_tables_break_every_rule_and_pandas_runs_most_kinds() -> None:
    """Otherwise an agreement would prove nothing."""
    all_suites = (
        rule_sets.calls_rules(SETTINGS),
        rule_sets.batch_rules(SETTINGS),
        rule_sets.feedback_rules(SETTINGS),
        rule_sets.samples_rules(SETTINGS),
    )
    assert {case.rule_set.name for case in CASES} == {rule_set.name for rule_set in all_suites}
    assert {rule_set.name for rule_set in all_suites} == set(rule_sets.NAMES)
    rules = [rule for rule_set in all_suites for rule in rule_set.rules]
    assert sum(rule.check.expectation(BATCH) is not None for rule in rules) > len(rules) / 2


def test_every_rule_is_broken_by_some_table(tmp_path: Path) -> None:
    broken: dict[str, set[str]] = {}
    for number, case in enumerate(CASES):
        batch = JudgedTable(case.rule_set.table.name, NOW)
        with Store.open(tmp_path / f"{number}.duckdb") as store:
            case.insert(store)
            sql = {rule.id: rule.violation_sql(batch) for rule in case.rule_set.rules}
            counts = marks.count_violations(store, batch.table, sql)
        broken.setdefault(case.rule_set.name, set()).update(n for n, rows in counts.items() if rows)
    for case in CASES:
        assert broken[case.rule_set.name] == {rule.id for rule in case.rule_set.rules}


def test_gx_results_hold_no_value_of_a_row(judged: Judged) -> None:
    batch = JudgedTable(judged.case.rule_set.table.name, NOW)
    text = str(validated(judged.store, judged.case.rule_set, batch).to_json_dict())
    assert "DROP TABLE" not in text
    assert "call-3" not in text


def test_a_rule_gx_cannot_judge_is_an_exception_without_row_values(tmp_path: Path) -> None:
    wider = replace(SUITE.table, name="landing", key=())
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        store.insert(LANDING, [call(0)])
        store.execute("ALTER TABLE landing DROP COLUMN provider")
        rule_set = RuleSet(
            "calls", wider, (Rule("p", "critical", Present("provider"), "M.", "R."),)
        )
        (outcome,) = judge(store, rule_set, BATCH)
    assert not outcome.success
    assert outcome.exception is not None
    with pytest.raises(JudgesDisagreeError, match="expectation p could not be judged"):
        check_agreement([outcome], {"p": 0}, rule_set)


X = Rule("x", "critical", Present("model"), "M.", "R.")


@pytest.mark.parametrize(
    "outcome", [RuleOutcome("x", True, 0), RuleOutcome("x", False, 2), RuleOutcome("x", True, 1)]
)
def test_a_disagreement_names_the_expectation_and_both_counts(outcome: RuleOutcome) -> None:
    with pytest.raises(JudgesDisagreeError, match=r"expectation x.*against 1 rows") as caught:
        check_agreement([outcome], {"x": 1}, RuleSet("calls", LANDING, (X,)))
    assert caught.value.exit_code == 4


def test_a_predicate_speaks_of_rows_whose_shown_column_is_null_in_every_row(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        store.insert(LANDING, [call(0, response=None), call(1, response=None)])
        outcomes = judge(store, SUITE, BATCH)
    (outcome,) = [o for o in outcomes if o.rule_id == "has_response_when_ok"]
    assert outcome == RuleOutcome("has_response_when_ok", False, 2, num_rows=2)
