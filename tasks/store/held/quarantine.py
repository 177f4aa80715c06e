"""Landing rows that fail a rule: finding them, counting them, moving them into quarantine.

The predicates come from the suite (expectations/), so this module knows no rule by name. The raw
row goes from table to table inside DuckDB and never through Python. Everything here works on two
temporary tables of the connection, `judged` and `observed`, made anew by every stage run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from expectations.checks import quoted, sql_literal
from expectations.contracts import LANDING, QUARANTINE, Column
from tasks.errors import StoreError, UsageError
from tasks.store.db.connection import Store

#: a longer text is described by its length: cut short, a secret in it could escape masking
MAX_OBSERVED_CHARS = 4096
_PAGE_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who judged, when, by which suite."""

    run_id: str
    now: datetime
    suite_version: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What stood in the columns that a rule looks at, in one landing row; None is NULL."""

    row_id: int
    values: tuple[str | None, ...]


def count_landing(store: Store) -> int:
    return int(store.scalar("SELECT count(*) FROM landing"))


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
            store.scalar(f"SELECT count(*) FROM {quoted(table)} WHERE {sql}")
        except duckdb.Error as error:
            raise UsageError(
                f"{name} cannot be judged on these rows; nothing was moved",
                received=type(error).__name__,
                allowed="SQL that every row can answer, such as try_cast instead of cast",
                next="fix that rule, then run again",
            ) from None


@dataclass(frozen=True, slots=True)
class Rows:
    """A table whose rows are judged, what tells them apart, and where the marks go."""

    table: str = LANDING.name
    key: str = "rowid"
    marks: str = "judged"


CALLS = Rows()


def mark_violations(
    store: Store, critical: Mapping[str, str], warnings: Mapping[str, str], rows: Rows = CALLS
) -> dict[str, int]:
    """Find the rows that violate a predicate (rule id → SQL); rows by rule id.

    Leaves the temporary table `rows.marks`: row_id, failed (critical ids in suite order), warned.
    """
    found = {name: f"violates_{place}" for place, name in enumerate((*critical, *warnings))}
    predicates = ", ".join(
        f"{sql} AS {found[name]}" for name, sql in {**critical, **warnings}.items()
    )
    # names are made only of the few rows that violate anything
    store.execute(
        f"CREATE OR REPLACE TEMP TABLE {rows.marks} AS SELECT row_id, "
        f"{_ids_where_true(critical, found)} AS failed, "
        f"{_ids_where_true(warnings, found)} AS warned "
        f"FROM (SELECT {rows.key} AS row_id, {predicates} FROM {rows.table}) "
        f"WHERE {' OR '.join(found.values())}"
    )
    counts = dict.fromkeys((*critical, *warnings), 0)
    counts.update(
        store.rows(
            f"SELECT id, count(*) FROM (SELECT unnest(failed || warned) AS id FROM {rows.marks}) "
            "GROUP BY id"
        )
    )
    return counts


def _ids_where_true(names: Iterable[str], found: Mapping[str, str]) -> str:
    cases = [f"CASE WHEN {found[name]} THEN {sql_literal(name)} END" for name in names]
    return f"list_filter([{', '.join(cases)}]::VARCHAR[], lambda id : id IS NOT NULL)"


def first_failures(store: Store, rows: Rows = CALLS) -> dict[str, int]:
    """Rows to hold back by the first critical rule they fail; the sum is all of them."""
    return dict(
        store.rows(
            f"SELECT failed[1], count(*) FROM {rows.marks} WHERE len(failed) > 0 "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )
    )


def observations(store: Store, rule_id: str, columns: Sequence[str]) -> Iterator[list[Observation]]:
    """Pages of what the rows first failing `rule_id` hold in `columns`, for `note_observed`."""
    shown = ", ".join(_shown_sql(LANDING.column(name)) for name in columns)
    last = -1
    while True:
        # by row id rather than an open result: the caller writes on the same connection between
        rows = store.rows(
            f"SELECT row_id, {shown} FROM landing JOIN judged ON landing.rowid = judged.row_id "
            f"WHERE failed[1] = ? AND row_id > ? ORDER BY row_id LIMIT {_PAGE_ROWS}",
            [rule_id, last],
        )
        if not rows:
            return
        yield [Observation(row_id, tuple(values)) for row_id, *values in rows]
        last = rows[-1][0]


def _shown_sql(column: Column) -> str:
    """The value as text. Of JSON only the shape is shown: keys, types and lengths, no content."""
    name = quoted(column.name)
    if column.sql_type == "JSON":
        items = f"json_array_length({name})"
        shape = f"left(CAST(json_structure({name}) AS VARCHAR), {MAX_OBSERVED_CHARS})"
        return (
            f"CASE WHEN json_type({name}) = 'ARRAY' THEN 'list of ' || {items} || ': ' ELSE '' END "
            f"|| {shape}"
        )
    text = f"CAST({name} AS VARCHAR)"
    return (
        f"CASE WHEN length({text}) > {MAX_OBSERVED_CHARS} "
        f"THEN '(' || length({text}) || ' characters)' ELSE {text} END"
    )


def begin_observed(store: Store) -> None:
    store.execute(
        "CREATE OR REPLACE TEMP TABLE observed "
        "(row_id BIGINT, column_name VARCHAR, observed VARCHAR)"
    )


def note_observed(store: Store, column_name: str, texts: Mapping[int, str]) -> None:
    """What to show for each row id: masked and shortened by the caller."""
    store.execute(
        "INSERT INTO observed SELECT unnest(?::BIGINT[]), ?, unnest(?::VARCHAR[])",
        [list(texts), column_name, list(texts.values())],
    )


def hold_back(store: Store, judgement: Judgement) -> int:
    """Move the rows that fail a critical rule from landing into quarantine; returns how many.

    Call it inside a transaction. Raises StoreError when the counts of the two sides differ. A call
    that was replayed from quarantine and fails again takes its old place there.
    """
    columns = ", ".join(quoted(name) for name in QUARANTINE.column_names)
    wanted = int(store.scalar("SELECT count(*) FROM judged WHERE len(failed) > 0"))
    inserted = store.scalar(
        f"INSERT OR REPLACE INTO quarantine ({columns}) SELECT {_quarantine_values()} "
        "FROM landing JOIN judged ON landing.rowid = judged.row_id "
        "JOIN observed ON observed.row_id = judged.row_id WHERE len(failed) > 0",
        [judgement.suite_version, judgement.run_id, judgement.now],
    )
    deleted = store.scalar(
        "DELETE FROM landing WHERE rowid IN (SELECT row_id FROM judged WHERE len(failed) > 0)"
    )
    if not wanted == inserted == deleted:
        raise StoreError(
            "quarantine lost count: nothing was moved",
            received=f"{wanted} rows failed, {inserted} quarantined, {deleted} taken from landing",
            next="report this as a bug",
        )
    return wanted


def _quarantine_values() -> str:
    """SELECT list in the order of QUARANTINE's columns."""
    place = (
        'row_number() OVER (PARTITION BY "request_id", "content_digest", "sources"[1] '
        "ORDER BY landing.rowid)"
    )
    key = 'to_json(["request_id", "content_digest", "sources"[1]])::VARCHAR'
    values = {
        # the same record twice in one batch is still two rows
        "quarantine_id": f"sha256({key} || CASE WHEN {place} > 1 THEN '#' || {place} ELSE '' END)",
        "request_id": 'landing."request_id"',
        "expectation": "failed[1]",
        "also_failed": "failed[2:]",
        "column_name": "observed.column_name",
        "observed": "observed.observed",
        "suite_version": "?",
        "run_id": "?",
        "created_at": "?",
        "row": f"json_object({_row_members()})",
        "state": "'held'",
    }
    return ", ".join(values[name] for name in QUARANTINE.column_names)


def _row_members() -> str:
    """Members of the JSON object of a landing row; a cast of each gives the column back."""
    return ", ".join(
        f"{sql_literal(column.name)}, {_member_sql(column)}" for column in LANDING.columns
    )


def _member_sql(column: Column) -> str:
    name = f"landing.{quoted(column.name)}"
    if column.sql_type == "TIMESTAMP":
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%f')"
    if column.sql_type == "DOUBLE":  # JSON has no NaN and no infinity: they go as text
        return f"CASE WHEN isfinite({name}) THEN to_json({name}) ELSE to_json({name}::VARCHAR) END"
    return name
