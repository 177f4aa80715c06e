"""Which rows of a table break a rule, and which rule first.

The predicates come from the caller, so this module knows no rule by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from expectations.checks import quoted, sql_literal
from tasks.errors import UsageError
from tasks.store.db.connection import Store
from tasks.store.db.damage import tells_damage


@dataclass(frozen=True, slots=True)
class Rows:
    """A table whose rows are judged, what tells them apart, and the temporary table of marks."""

    table: str
    key: str
    marks: str


def mark_violations(
    store: Store, rows: Rows, critical: Mapping[str, str], warnings: Mapping[str, str]
) -> dict[str, int]:
    """Find the rows that violate a predicate (rule id → SQL); rows by rule id.

    Leaves the temporary table `rows.marks`: row_id, failed (critical ids in their order), warned.
    """
    flags = {name: f"violates_{place}" for place, name in enumerate((*critical, *warnings))}
    predicates = ", ".join(
        f"{sql} AS {flags[name]}" for name, sql in {**critical, **warnings}.items()
    )
    # names are made only of the few rows that violate anything
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE {rows.marks} AS SELECT row_id, "
        f"{_ids_where_true(critical, flags)} AS failed, "
        f"{_ids_where_true(warnings, flags)} AS warned "
        f"FROM (SELECT {rows.key} AS row_id, {predicates} FROM {rows.table}) "
        f"WHERE {' OR '.join(flags.values())}"
    )
    counts = dict.fromkeys((*critical, *warnings), 0)
    counts.update(
        store.rows(
            f"SELECT id, count(*) FROM (SELECT unnest(failed || warned) AS id FROM {rows.marks}) "
            "GROUP BY id"
        )
    )
    return counts


def _ids_where_true(names: Iterable[str], flags: Mapping[str, str]) -> str:
    cases = [f"CASE WHEN {flags[name]} THEN {sql_literal(name)} END" for name in names]
    return f"list_filter([{', '.join(cases)}]::VARCHAR[], lambda id : id IS NOT NULL)"


def first_failures(store: Store, rows: Rows) -> dict[str, int]:
    """Marked rows by the first critical rule they fail, the most frequent first."""
    return dict(
        store.rows(
            f"SELECT failed[1], count(*) FROM {rows.marks} WHERE len(failed) > 0 "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )
    )


def count_violations(store: Store, table: str, predicates: Mapping[str, str]) -> dict[str, int]:
    """Rows of the table for which each predicate is true."""
    return {
        name: int(store.scalar(f"SELECT count(*) FROM {quoted(table)} WHERE {sql}"))
        for name, sql in predicates.items()
    }


def refuse_unanswerable(store: Store, table: str, predicates: Mapping[str, str]) -> None:
    """Ask each predicate (a name for errors → SQL) alone, to tell which one cannot be answered.

    Raises UsageError with DuckDB's class of error; its message would quote values of a row.
    """
    for name, sql in predicates.items():
        try:
            count_violations(store, table, {name: sql})
        except duckdb.Error as error:
            if tells_damage(error):
                raise
            raise UsageError(
                f"{name} cannot be judged on these rows; nothing was moved",
                received=type(error).__name__,
                allowed="SQL that every row can answer, such as try_cast instead of cast",
                next="fix that rule, then run again",
            ) from None
