"""Feedback between ingest and use: what is not judged yet, what is held back, what comes back.

Feedback stands in its table from ingest on; it counts as new until the run that took it in has
finished validating. Held back, it is a row of `quarantine` whose `row` is that of `feedback`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expectations.checks import quoted, sql_literal
from expectations.contracts import FEEDBACK
from tasks.store.db.connection import Store
from tasks.store.held.calls import IS_FEEDBACK, MATCHES, Readmitted, first_broken, settle, value_of
from tasks.store.held.quarantine import Judgement, Rows

#: a view of feedback, which Great Expectations can see
NEW = Rows("new_feedback", "feedback_id", "judged_feedback")
#: a temporary table of what waits in quarantine
HELD = "held_feedback"
_IS_NEW = "run_id NOT IN (SELECT run_id FROM run_stages WHERE stage = 'validate')"
_COLUMNS = ", ".join(quoted(name) for name in FEEDBACK.column_names)


def show_new(store: Store) -> None:
    """Make the view of what is not judged yet."""
    store.execute(
        f"CREATE OR REPLACE VIEW {NEW.table} AS SELECT {_COLUMNS} FROM feedback WHERE {_IS_NEW}"
    )


def count_new(store: Store) -> int:
    return int(store.scalar(f"SELECT count(*) FROM feedback WHERE {_IS_NEW}"))


def failing(store: Store, rule_id: str, columns: Sequence[str]) -> dict[str, list[str | None]]:
    """Feedback id → the columns as texts, of those that fail this critical rule first."""
    shown = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in columns)
    rows = store.rows(
        f"SELECT feedback_id, {shown} FROM feedback JOIN {NEW.marks} ON feedback_id = row_id "
        "WHERE failed[1] = ? ORDER BY feedback_id",
        [rule_id],
    )
    return {feedback_id: values for feedback_id, *values in rows}


def hold_back(
    store: Store, judgement: Judgement, columns: Sequence[str], observed: Mapping[str, str]
) -> None:
    """Move feedback (id → what was seen in the columns) into quarantine; call in a transaction."""
    members = ", ".join(f"{sql_literal(name)}, f.{quoted(name)}" for name in FEEDBACK.column_names)
    store.execute(
        "INSERT OR REPLACE INTO quarantine SELECT f.feedback_id, f.request_id, m.failed[1], "
        "m.failed[2:], ?, seen.observed, ?, ?, ?, "
        f"json_object({members}), 'held' FROM feedback f JOIN {NEW.marks} m "
        "ON f.feedback_id = m.row_id JOIN (SELECT unnest(?::VARCHAR[]) AS id, "
        "unnest(?::VARCHAR[]) AS observed) seen ON seen.id = f.feedback_id",
        [
            ", ".join(columns),
            judgement.suite_version,
            judgement.run_id,
            judgement.now,
            list(observed),
            list(observed.values()),
        ],
    )
    store.execute(
        "DELETE FROM feedback WHERE feedback_id IN (SELECT unnest(?::VARCHAR[]))", [list(observed)]
    )


def adopt(store: Store, run_id: str) -> None:
    """What is judged now belongs to this run, whose redact masks it: the run that took it in may
    have been another one, such as a `flywheel ingest` or one that was stopped."""
    store.execute(f"UPDATE feedback SET run_id = ? WHERE {_IS_NEW}", [run_id])


def look_again(store: Store, only: Sequence[str]) -> None:
    """Fill the table of what waits: all, or what `only` names."""
    values = ", ".join(
        f"{value_of(column)} AS {quoted(column.name)}" for column in FEEDBACK.columns
    )
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE {HELD} AS SELECT {values} FROM quarantine q "
        f"WHERE state = 'held' AND {IS_FEEDBACK} AND {MATCHES}",
        [list(only)],
    )


def readmit(store: Store, rules: Mapping[str, str], run_id: str) -> Readmitted:
    """Move what violates no rule (id → predicate) back into feedback, as taken in by this run."""
    store.execute(
        "CREATE OR REPLACE TEMP TABLE held_feedback_judged AS SELECT *, "
        "feedback_id AS quarantine_id, "
        f"{first_broken(rules)} AS failed, "
        f"feedback_id IN (SELECT feedback_id FROM feedback) AS known FROM {HELD}"
    )
    values = _COLUMNS.replace('"run_id"', "?")
    admitted = store.scalar(
        f"INSERT INTO feedback ({_COLUMNS}) SELECT {values} "
        "FROM held_feedback_judged WHERE NOT known AND failed IS NULL",
        [run_id],
    )
    return settle(store, "held_feedback_judged", admitted)
