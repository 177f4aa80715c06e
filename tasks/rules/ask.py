"""Both judges of a table's rows: Great Expectations, and our own SQL that says which rows."""

from __future__ import annotations

from expectations.checks import JudgedTable
from expectations.rules import RuleSet
from tasks.rules.outcomes import Judged
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


def mark(store: Store, rule_set: RuleSet, batch: JudgedTable, rows: Rows) -> dict[str, int]:
    """Mark the rows that violate a rule, in `rows.marks`; returns how many by rule id."""
    sql = {rule.id: rule.violation_sql(batch) for rule in rule_set.rules}
    critical = {rule.id: sql.pop(rule.id) for rule in rule_set.of("critical")}
    return marks.mark_violations(store, rows, critical, sql)
