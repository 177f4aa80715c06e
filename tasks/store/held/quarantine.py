"""Rows held back because they fail a rule, and their way back: calls and feedback alike.

A row of quarantine keeps the row it was as one JSON object. Held back is what `marks` says fails a
critical rule; back goes what breaks no rule by now, each once. Rules come from the caller, as
predicates. Rows go from table to table inside DuckDB; only what is shown of them passes Python.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from expectations.checks import quoted, sql_literal
from expectations.contracts import FEEDBACK, LANDING, QUARANTINE, Column, TableContract
from tasks.errors import StoreError
from tasks.store.db.connection import Store
from tasks.store.held.marks import Rows
from tasks.store.held.sealing import opened_sql, sealing

#: a longer text is described by its length: cut short, a secret in it could escape masking
MAX_OBSERVED_CHARS = 4096
_PAGE_ROWS = 2000
#: members of a held row that stay when the others are sealed or purged: without them the same call
#: would come in once more, and feedback could not be told from calls
TOLD = ("feedback_id", "content_digest", "sources")
_RECORD = '"request_id", "content_digest", "sources"[1]'
_REPEATS = f"row_number() OVER (PARTITION BY {_RECORD} ORDER BY home.rowid)"
_MATCHES = (
    "(len($1::VARCHAR[]) = 0 OR list_has_any([expectation, request_id], $1::VARCHAR[]) "
    "OR len(list_filter($1::VARCHAR[], lambda name : starts_with(quarantine_id, name))) > 0)"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What can be held back: rows of the table `home`.

    `rows` is what new ones are judged by, `waiting` the temporary table of those looked at again.
    `held_id` is SQL for their id in quarantine, `is_kind` for the rows there that are of this kind.
    One whose `identity` stands in a table of `known_in` has come in by another way.
    """

    home: TableContract
    rows: Rows
    waiting: str
    held_id: str
    is_kind: str
    identity: str
    known_in: tuple[str, ...]

    @property
    def columns(self) -> str:
        return ", ".join(quoted(name) for name in self.home.column_names)


CALLS = Kind(
    LANDING,
    Rows(LANDING.name, "rowid", "judged"),
    "held",
    # the same record twice in one batch is still two rows
    f"sha256(to_json([{_RECORD}])::VARCHAR || "
    f"CASE WHEN {_REPEATS} > 1 THEN '#' || {_REPEATS} ELSE '' END)",
    "NOT json_exists(\"row\", '$.feedback_id')",
    "request_id, content_digest",
    ("landing", "requests", "merged_reports"),
)
#: judged through a view of what is new (intake/feedback.py)
SIGNALS = Kind(
    FEEDBACK,
    Rows("new_feedback", "feedback_id", "judged_feedback"),
    "held_feedback",
    "feedback_id",
    "json_exists(\"row\", '$.feedback_id')",
    "feedback_id",
    ("feedback",),
)


@dataclass(frozen=True, slots=True)
class Readmitted:
    """`known`: what came in again meanwhile. `failing`: still held, by the first rule."""

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


def _first_failing(
    store: Store, kind: Kind, rule_id: str, columns: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """Pages of (row id, value of each column) of the rows that fail this rule first.

    By row id rather than an open result: the caller writes on the same connection between.
    """
    shown = ", ".join(_shown_sql(kind.home.column(name)) for name in columns)
    beyond: list[Any] = []
    while page := store.rows(
        f"SELECT row_id, {shown} FROM {kind.home.name} AS home JOIN {kind.rows.marks} "
        f"ON home.{kind.rows.key} = row_id WHERE failed[1] = ? "
        f"{'AND row_id > ?' if beyond else ''} ORDER BY row_id LIMIT {_PAGE_ROWS}",
        [rule_id, *beyond],
    ):
        yield page
        beyond = [page[-1][0]]


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


def hold_back(
    store: Store,
    kind: Kind,
    looked_at: Mapping[str, Sequence[str]],
    show: Callable[[Sequence[str], Sequence[str | None]], str],
    *,
    run_id: str,
    now: datetime,
    suite_version: str,
) -> int:
    """Move the marked rows that fail a critical rule into quarantine; returns how many.

    `looked_at`: rule id → the columns to show of a row that fails it first; `show` masks and
    shortens what stood in them. Call it inside a transaction. Raises StoreError when the counts of
    the two sides differ. What was replayed from quarantine and fails again takes its old place.
    """
    store.execute(
        "CREATE OR REPLACE TEMP TABLE observed AS SELECT row_id, NULL::VARCHAR AS column_name, "
        f"NULL::VARCHAR AS observed FROM {kind.rows.marks} LIMIT 0"
    )
    for rule_id, columns in looked_at.items():
        for page in _first_failing(store, kind, rule_id, columns):
            texts = [show(columns, values) for _, *values in page]
            store.execute(
                "INSERT INTO observed SELECT unnest(?), ?, unnest(?::VARCHAR[])",
                [[row_id for row_id, *_ in page], ", ".join(columns), texts],
            )
    failed = f"FROM {kind.rows.marks} WHERE len(failed) > 0"
    values = {
        "quarantine_id": kind.held_id,
        "request_id": "home.request_id",
        "expectation": "failed[1]",
        "also_failed": "failed[2:]",
        "column_name": "column_name",
        "observed": "observed",
        "suite_version": "?",
        "run_id": "?",
        "created_at": "?",
        "row": _row_sql(store, kind),
        "state": "'held'",
        "key_id": "NULL" if store.raw_key is None else sql_literal(store.raw_key.key_id),
    }
    wanted = int(store.scalar(f"SELECT count(*) {failed}"))
    with sealing(store):
        inserted = store.scalar(
            "INSERT OR REPLACE INTO quarantine "
            f"({', '.join(map(quoted, QUARANTINE.column_names))}) "
            f"SELECT {', '.join(values[name] for name in QUARANTINE.column_names)} "
            f"FROM {kind.home.name} AS home "
            f"JOIN {kind.rows.marks} ON home.{kind.rows.key} = row_id "
            "JOIN observed USING (row_id) WHERE len(failed) > 0",
            [suite_version, run_id, now],
        )
    deleted = store.scalar(
        f"DELETE FROM {kind.home.name} WHERE {kind.rows.key} IN (SELECT row_id {failed})"
    )
    if not wanted == inserted == deleted:
        raise StoreError(
            "quarantine lost count: nothing was moved",
            received=f"{wanted} rows failed, {inserted} quarantined, {deleted} taken away",
            next="report this as a bug",
        )
    return wanted


def _row_sql(store: Store, kind: Kind) -> str:
    """The row as one JSON object; sealed, but for what tells which call it is and whence."""
    members = ", ".join(map(_member_sql, kind.home.columns))
    if store.raw_key is None:
        return f"json_object({members})"
    told = [_member_sql(column) for column in kind.home.columns if column.name in TOLD]
    sealed = f"'sealed', seal_raw(json_object({members})::VARCHAR)"
    return f"json_object({', '.join([*told, sealed])})"


def _member_sql(column: Column) -> str:
    """A member of the JSON object of a row; `_value_sql` gives the column back."""
    name = f"home.{quoted(column.name)}"
    value = name
    if column.sql_type == "TIMESTAMP":
        value = f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%f')"
    if column.sql_type == "DOUBLE":  # JSON has no NaN and no infinity: they go as text
        value = f"CASE WHEN isfinite({name}) THEN to_json({name}) ELSE to_json({name}::VARCHAR) END"
    return f"{sql_literal(column.name)}, {value}"


def _value_sql(column: Column) -> str:
    member = sql_literal(f"$.{column.name}")
    if column.sql_type == "JSON":
        value = f'CASE WHEN json_type("row"->{member}) <> \'NULL\' THEN "row"->{member} END'
    else:
        arrow = "->" if column.sql_type.endswith("[]") else "->>"
        value = f'CAST("row"{arrow}{member} AS {column.sql_type})'
    return f"{value} AS {quoted(column.name)}"


def look_again(store: Store, kind: Kind, only: Sequence[str]) -> None:
    """Fill `kind.waiting` with what waits: all, or what `only` names (rule, request, id).

    What is sealed under a key that is not here stays where it is.
    """
    key_id = sql_literal("" if store.raw_key is None else store.raw_key.key_id)
    with sealing(store):
        store.execute(
            f"CREATE OR REPLACE TEMP TABLE {kind.waiting} AS SELECT quarantine_id, "
            f"{', '.join(map(_value_sql, kind.home.columns))} "
            f'FROM (SELECT * REPLACE ({opened_sql(store)} AS "row") FROM quarantine '
            f"WHERE state = 'held' AND {kind.is_kind} AND {_MATCHES} "
            f"AND coalesce(key_id, {key_id}) = {key_id})",
            [list(only)],
        )


def readmit(store: Store, kind: Kind, rules: Mapping[str, str], run_id: str) -> Readmitted:
    """Move the rows of `kind.waiting` that violate no rule (id → predicate) back home.

    Call it inside a transaction, after `look_again`. What is held twice goes in once.
    """
    known_ids = " UNION ALL ".join(f"SELECT {kind.identity} FROM {name}" for name in kind.known_in)
    cases = " ".join(f"WHEN {sql} THEN {sql_literal(name)}" for name, sql in rules.items())
    store.execute(
        "CREATE OR REPLACE TEMP TABLE looked_at AS SELECT quarantine_id, "
        f"CASE {cases} ELSE NULL END AS failed, "
        f"row_number() OVER (PARTITION BY {kind.identity} ORDER BY quarantine_id) > 1 "
        f"OR ({kind.identity}) IN ({known_ids}) AS known FROM {kind.waiting}"
    )
    values = kind.columns.replace('"run_id"', "?")
    admitted = store.scalar(
        f"INSERT INTO {kind.home.name} ({kind.columns}) SELECT {values} "
        f"FROM {kind.waiting} JOIN looked_at USING (quarantine_id) "
        "WHERE NOT known AND failed IS NULL",
        [run_id],
    )
    store.execute(
        "UPDATE quarantine SET state = 'replayed' WHERE quarantine_id IN "
        "(SELECT quarantine_id FROM looked_at WHERE known OR failed IS NULL)"
    )
    tried, known = store.rows("SELECT count(*), count(*) FILTER (known) FROM looked_at")[0]
    failing = store.rows(
        "SELECT failed, count(*) FROM looked_at WHERE NOT known AND failed IS NOT NULL "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    return Readmitted(tried, admitted, known, dict(failing))
