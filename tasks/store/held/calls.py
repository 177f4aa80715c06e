"""Calls in quarantine that pass by now: back into landing, each once.

Works on a temporary table `held` of landing rows rebuilt from their JSON. Which rules they must
pass comes from the caller, as predicates over that table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expectations.checks import quoted, sql_literal
from expectations.contracts import LANDING, Column
from tasks.store.db.connection import Store

TABLE = "held"
_KEY = "request_id, content_digest"
#: a row of quarantine that is feedback, not a call
IS_FEEDBACK = "json_exists(\"row\", '$.feedback_id')"
MATCHES = (
    "(len($1::VARCHAR[]) = 0 OR list_has_any([expectation, request_id], $1::VARCHAR[]) "
    "OR len(list_filter($1::VARCHAR[], lambda name : starts_with(quarantine_id, name))) > 0)"
)


@dataclass(frozen=True, slots=True)
class Readmitted:
    """`known`: calls that came in again meanwhile. `failing`: still held, by the first rule."""

    tried: int
    admitted: int
    known: int
    failing: Mapping[str, int]

    def __add__(self, other: Readmitted) -> Readmitted:
        return Readmitted(
            self.tried + other.tried,
            self.admitted + other.admitted,
            self.known + other.known,
            Counter(self.failing) + Counter(other.failing),
        )


def look_again(store: Store, only: Sequence[str]) -> None:
    """Fill `held` with what waits: all, or what `only` names (rule, request, beginning of id)."""
    columns = ", ".join(
        f"{value_of(column)} AS {quoted(column.name)}" for column in LANDING.columns
    )
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE {TABLE} AS SELECT quarantine_id, {columns} "
        f"FROM quarantine q WHERE state = 'held' AND NOT {IS_FEEDBACK} AND {MATCHES}",
        [list(only)],
    )


def readmit(store: Store, rules: Mapping[str, str], run_id: str) -> Readmitted:
    """Move the rows of `held` that violate no rule (id → predicate) into landing.

    Call it inside a transaction, after `look_again`. The same call held twice goes in once.
    """
    store.execute(
        "CREATE OR REPLACE TEMP TABLE held_judged AS SELECT quarantine_id, "
        f"{first_broken(rules)} AS failed, "
        f"row_number() OVER (PARTITION BY {_KEY} ORDER BY quarantine_id) > 1 OR ({_KEY}) IN "
        f"(SELECT {_KEY} FROM landing UNION ALL SELECT {_KEY} FROM requests "
        f"UNION ALL SELECT {_KEY} FROM merged_reports) AS known FROM {TABLE}"
    )
    columns = ", ".join(quoted(column.name) for column in LANDING.columns)
    values = columns.replace('"run_id"', "?")
    admitted = store.scalar(
        f"INSERT INTO landing ({columns}) SELECT {values} FROM {TABLE} JOIN held_judged "
        "USING (quarantine_id) WHERE NOT known AND failed IS NULL",
        [run_id],
    )
    return settle(store, "held_judged", admitted)


def settle(store: Store, judged: str, admitted: int) -> Readmitted:
    """Close the rows of quarantine that a table `judged` (quarantine_id, failed, known) lets go."""
    store.execute(
        "UPDATE quarantine SET state = 'replayed' WHERE quarantine_id IN "
        f"(SELECT quarantine_id FROM {judged} WHERE known OR failed IS NULL)"
    )
    tried, known = store.rows(f"SELECT count(*), count(*) FILTER (known) FROM {judged}")[0]
    failing = store.rows(
        f"SELECT failed, count(*) FROM {judged} WHERE NOT known AND failed IS NOT NULL "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    return Readmitted(tried, admitted, known, dict(failing))


def first_broken(rules: Mapping[str, str]) -> str:
    """SQL for the first rule (id → predicate) that a row violates, or NULL."""
    cases = " ".join(f"WHEN {sql} THEN {sql_literal(name)}" for name, sql in rules.items())
    return f"CASE {cases} ELSE NULL END" if cases else "NULL::VARCHAR"


def value_of(column: Column) -> str:
    """A member of the JSON object that quarantine keeps, as the column it was."""
    member = f'q."row"->{sql_literal(f"$.{column.name}")}'
    text = f'q."row"->>{sql_literal(f"$.{column.name}")}'
    if column.sql_type == "JSON":
        return f"CASE WHEN json_type({member}) <> 'NULL' THEN {member} END"
    if column.sql_type.endswith("[]"):
        return f"CAST({member} AS {column.sql_type})"
    return f"CAST({text} AS {column.sql_type})"
