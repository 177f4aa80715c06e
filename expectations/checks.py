"""Checks: what a rule can demand of a table, each kind stated once and read in two ways.

Every kind gives its Great Expectations expectation and its own SQL predicate (true for a row that
violates it), so what judges and what picks the rows come from one declaration.
A NULL never violates a check on values: only `Present` speaks of missing ones.

Must not know: where the rows are, what happens to a bad one. Imports nothing but the standard
library.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class JudgedTable:
    """The rows being judged: a table of the store, and the clock of the run (UTC, no zone)."""

    table: str
    now: datetime


@dataclass(frozen=True, slots=True)
class AfterNow:
    """A time that far after the clock of the run; keeps the clock out of the declaration."""

    seconds: float


Scalar = str | int | float | datetime
Bound = int | float | datetime | AfterNow


@dataclass(frozen=True, slots=True)
class Expectation:
    """A Great Expectations class by name, with its arguments."""

    kind: str
    arguments: Mapping[str, Any]


class Check(ABC):
    """One kind of demand on the rows of a table."""

    __slots__ = ()

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at."""

    @abstractmethod
    def violation_sql(self, batch: JudgedTable) -> str:
        """A predicate over `batch.table` that is true for rows that violate the check."""

    def expectation(self, batch: JudgedTable) -> Expectation | None:
        """The same demand in the words of Great Expectations; None where it has none of its own."""
        return None


@dataclass(frozen=True, slots=True)
class _OfColumn(Check):
    """A demand on the values of one column."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


def sql_literal(value: Scalar) -> str:
    """A value as SQL text. Values come from declarations and settings, never from the data."""
    if isinstance(value, bool):
        raise TypeError("a check has no boolean bound")
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def resolve(bound: Bound | None, batch: JudgedTable) -> int | float | datetime | None:
    """The bound as a plain value: a time after now becomes a time."""
    if isinstance(bound, AfterNow):
        return batch.now + timedelta(seconds=bound.seconds)
    return bound


@dataclass(frozen=True, slots=True)
class Present(_OfColumn):
    """The column holds a value."""

    def violation_sql(self, batch: JudgedTable) -> str:
        return f"{quoted(self.column)} IS NULL"

    def expectation(self, batch: JudgedTable) -> Expectation:
        return Expectation("ExpectColumnValuesToNotBeNull", {"column": self.column})


@dataclass(frozen=True, slots=True)
class Unique(_OfColumn):
    """No two rows of the batch share the value; all rows that share one violate it."""

    def violation_sql(self, batch: JudgedTable) -> str:
        column, table = quoted(self.column), quoted(batch.table)
        return (
            f"{column} IN (SELECT {column} FROM {table} WHERE {column} IS NOT NULL "
            f"GROUP BY {column} HAVING count(*) > 1)"
        )

    def expectation(self, batch: JudgedTable) -> Expectation:
        return Expectation("ExpectColumnValuesToBeUnique", {"column": self.column})


@dataclass(frozen=True, slots=True)
class Between(_OfColumn):
    """minimum ≤ value ≤ maximum; one of the two may be left out.

    NaN is above every number in DuckDB, so it violates a maximum; GX's pandas engine would take it
    for a missing value.
    """

    minimum: Bound | None = None
    maximum: Bound | None = None

    def violation_sql(self, batch: JudgedTable) -> str:
        low, high = resolve(self.minimum, batch), resolve(self.maximum, batch)
        column = quoted(self.column)
        inside = [f"{column} >= {sql_literal(low)}"] if low is not None else []
        inside += [f"{column} <= {sql_literal(high)}"] if high is not None else []
        return f"NOT ({' AND '.join(inside)})"

    def expectation(self, batch: JudgedTable) -> Expectation:
        bounds = {
            "min_value": resolve(self.minimum, batch),
            "max_value": resolve(self.maximum, batch),
        }
        given = {name: value for name, value in bounds.items() if value is not None}
        return Expectation("ExpectColumnValuesToBeBetween", {"column": self.column, **given})


@dataclass(frozen=True, slots=True)
class OneOf(_OfColumn):
    """The value is one of a few."""

    values: tuple[Scalar, ...]

    def violation_sql(self, batch: JudgedTable) -> str:
        allowed = ", ".join(sql_literal(value) for value in self.values)
        return f"{quoted(self.column)} NOT IN ({allowed})"

    def expectation(self, batch: JudgedTable) -> Expectation:
        return Expectation(
            "ExpectColumnValuesToBeInSet", {"column": self.column, "value_set": list(self.values)}
        )


@dataclass(frozen=True, slots=True)
class Matches(_OfColumn):
    """The pattern (RE2) is found somewhere in the text."""

    pattern: str

    def violation_sql(self, batch: JudgedTable) -> str:
        return f"NOT regexp_matches({quoted(self.column)}, {sql_literal(self.pattern)})"

    def expectation(self, batch: JudgedTable) -> Expectation:
        return Expectation(
            "ExpectColumnValuesToMatchRegex", {"column": self.column, "regex": self.pattern}
        )


@dataclass(frozen=True, slots=True)
class AtLeast(Check):
    """larger ≥ smaller in every row that has both."""

    larger: str
    smaller: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.larger, self.smaller)

    def violation_sql(self, batch: JudgedTable) -> str:
        return f"NOT ({quoted(self.larger)} >= {quoted(self.smaller)})"

    def expectation(self, batch: JudgedTable) -> Expectation:
        return Expectation(
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {
                "column_A": self.larger,
                "column_B": self.smaller,
                "or_equal": True,
                "ignore_row_if": "either_value_is_missing",
            },
        )


@dataclass(frozen=True, slots=True)
class Never(Check):
    """No row for which the SQL predicate is true: for what GX has no expectation of its own.

    `predicate` is SQL over the columns of the table, true for a bad row; `looks_at` names the
    columns to show with it.
    """

    looks_at: tuple[str, ...]
    predicate: str

    @property
    def columns(self) -> tuple[str, ...]:
        return self.looks_at

    def violation_sql(self, batch: JudgedTable) -> str:
        return self.predicate


@dataclass(frozen=True, slots=True)
class NotKnownOtherwise(Check):
    """No row of the `known` table has the same key with another digest."""

    key: str
    digest: str
    known: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.key, self.digest)

    def violation_sql(self, batch: JudgedTable) -> str:
        key, digest, table = quoted(self.key), quoted(self.digest), quoted(batch.table)
        # not correlated: GX wraps the table in a subquery of another name
        return (
            f"({key}, {digest}) IN (SELECT incoming.{key}, incoming.{digest} "
            f"FROM {table} AS incoming, {quoted(self.known)} AS known "
            f"WHERE incoming.{key} = known.{key} AND incoming.{digest} <> known.{digest})"
        )


@dataclass(frozen=True, slots=True)
class Agree(Check):
    """Rows with the same `keys` have the same value; two missing keys are the same."""

    keys: tuple[str, ...]
    value: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.value, *self.keys)

    def violation_sql(self, batch: JudgedTable) -> str:
        # a struct compares whole, missing values included, where a row of columns would not
        keys = ", ".join(f"CAST({quoted(key)} AS VARCHAR)" for key in self.keys)
        return (
            f"struct_pack(k := [{keys}]) IN (SELECT struct_pack(k := [{keys}]) "
            f"FROM {quoted(batch.table)} GROUP BY 1 "
            f"HAVING count(DISTINCT {quoted(self.value)}) > 1)"
        )


@dataclass(frozen=True, slots=True)
class KnownIn(_OfColumn):
    """The value stands in the same column of at least one of the tables."""

    tables: tuple[str, ...]

    def violation_sql(self, batch: JudgedTable) -> str:
        column = quoted(self.column)
        known = " UNION ALL ".join(
            # one NULL in the list would make NOT IN true of nothing
            f"SELECT {column} FROM {quoted(table)} WHERE {column} IS NOT NULL"
            for table in self.tables
        )
        return f"{column} NOT IN ({known})"
