"""Both judges of a table's rows: Great Expectations, and our own SQL that says which rows."""

from __future__ import annotations

from expectations.checks import JudgedTable
from expectations.rules import RuleSet
from tasks.rules.outcomes import Failures, Judged, check_agreement
from tasks.store import Store
from tasks.store.held import marks
from tasks.store.held.marks import Rows


def ask(store: Store, rule_set: RuleSet, batch: JudgedTable) -> Judged:
    """What Great Expectations says. Raises UsageError where a user's rule cannot be answered."""
    # seconds on first use
    from tasks.rules import gx

    outcomes = gx.judge(store, rule_set, batch)
    if any(outcome.exception for outcome in outcomes):
        marks.refuse_unanswerable(store, batch.table, rule_set.own_sql(batch))
    return Judged(rule_set, batch, outcomes)


def look(store: Store, judged: Judged, rows: Rows, rows_in: int, min_rows: int) -> Failures:
    """Mark in `rows.marks` what fails, and count it; moves nothing.

    Raises JudgesDisagreeError where the two judges do not find the same.
    """
    rule_set = judged.rule_set
    sql = {rule.id: rule.violation_sql(judged.batch) for rule in rule_set.rules}
    critical = {rule.id: sql.pop(rule.id) for rule in rule_set.of("critical")}
    rows_by_rule = marks.mark_violations(store, rows, critical, sql)
    check_agreement(judged.outcomes, rows_by_rule, rule_set)
    warned = {rule.id: rows_by_rule[rule.id] for rule in rule_set.of("warning")}
    broken = {}
    for outcome in judged.outcomes:
        rule = rule_set.rule(outcome.rule_id)
        # a rule that lets a share pass is never broken in fewer rows than `min_rows`
        too_few = rule.max_ratio > 0 and rows_in < min_rows
        if rule.severity == "batch" and not outcome.success and not too_few:
            broken[rule.id] = (
                f"{outcome.unexpected_rows} of {rows_in}, allowed share {rule.max_ratio:.0%}"
            )
    return Failures(
        rows_in,
        marks.first_failures(store, rows),
        {rule_id: num_rows for rule_id, num_rows in warned.items() if num_rows},
        broken,
    )
