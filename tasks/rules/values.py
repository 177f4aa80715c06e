"""The values of a user's rule: each read with its type, or refused with the place it stands in.

Must not know: files, sets of rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from expectations.checks import AtLeast, Between, Check, Matches, Never, OneOf, Present, Unique
from expectations.contracts import TableContract
from tasks.errors import UsageError, did_you_mean
from tasks.rules.predicates import RefusedPredicateError, check_predicate
from tasks.store.db.user_sql import RefusedSqlError, check_pattern


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule stands, for errors."""

    file: str
    rule: str

    def error(self, what: str, received: object, allowed: str) -> UsageError:
        return UsageError(
            f"{self.file}, {self.rule}: {what}",
            received=repr(received)[:120],
            allowed=allowed,
            next="fix that rule, then run again",
        )


@dataclass(frozen=True, slots=True)
class Reader:
    """The values of one declared rule, each checked as it is read."""

    declared: Mapping[str, Any]
    table: TableContract
    place: Place

    def column(self, key: str = "column", *fits: str) -> str:
        """A column, of one of the kinds `fits` where any are given."""
        name = column_of(self.declared.get(key), self.table, self.place)
        kind = _KIND_OF_TYPE.get(self.table.column(name).sql_type, "JSON")
        if fits and kind not in fits:
            raise self.place.error(f"{key} is a {kind} column", name, " or ".join(fits))
        return name

    def two_columns(self) -> tuple[str, str]:
        larger = self.column("column", "number", "time")
        kind = _KIND_OF_TYPE[self.table.column(larger).sql_type]
        return larger, self.column("other", kind)

    def text(self, key: str) -> str:
        value = self.declared.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.place.error(f"{key} is missing", value, "a text")
        return value

    def pattern(self) -> str:
        pattern = self.text("pattern")
        try:
            check_pattern(pattern)
        except RefusedSqlError as error:
            raise self.place.error(str(error), pattern, "a regular expression (RE2)") from None
        return pattern

    def predicate(self) -> str:
        text = self.text("never")
        try:
            return check_predicate(text, self.table)
        except RefusedPredicateError as error:
            raise self.place.error(f"never: {error}", text, "one SQL expression per row") from None

    def bound(self, key: str) -> int | float | datetime | None:
        value = self.declared.get(key)
        if isinstance(value, datetime):
            return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        if value is None or is_number(value):
            return value
        raise self.place.error(key, value, "a number or a time")

    def values(self) -> tuple[str | int | float, ...]:
        values = self.declared.get("values")
        if isinstance(values, list) and values and len({_kind(value) for value in values}) == 1:
            return tuple(values)
        raise self.place.error("values", values, "a list of texts, or of numbers")

    def looked_at(self) -> tuple[str, ...]:
        names = self.declared.get("columns")
        if not isinstance(names, list) or not names:
            raise self.place.error("columns to show are missing", names, "a list of columns")
        return tuple(column_of(name, self.table, self.place) for name in names)


_KIND_OF_TYPE = {"VARCHAR": "text", "BIGINT": "number", "INTEGER": "number", "DOUBLE": "number",
                 "TIMESTAMP": "time"}  # fmt: skip


def _kind(value: object) -> str:
    """text, number or time, as columns have it; anything else by its type."""
    if is_number(value):
        return "number"
    return {str: "text", datetime: "time"}.get(type(value), type(value).__name__)


def _between(reader: Reader) -> Check:
    low, high = reader.bound("min"), reader.bound("max")
    if low is None and high is None:
        raise reader.place.error("a bound is missing", None, "min, max or both")
    kinds = {_kind(bound) for bound in (low, high) if bound is not None}
    if len(kinds) > 1:
        raise reader.place.error("min and max", [low, high], "two numbers, or two times")
    return Between(reader.column("column", *kinds), low, high)


def _one_of(reader: Reader) -> Check:
    values = reader.values()
    return OneOf(reader.column("column", _kind(values[0])), values)


#: kind → keys of its own, and how its check is made
KINDS: dict[str, tuple[tuple[str, ...], Callable[[Reader], Check]]] = {
    "not_null": (("column",), lambda r: Present(r.column())),
    "unique": (("column",), lambda r: Unique(r.column("column", "text", "number", "time"))),
    "between": (("column", "min", "max"), _between),
    "one_of": (("column", "values"), _one_of),
    "matches": (("column", "pattern"), lambda r: Matches(r.column("column", "text"), r.pattern())),
    "at_least": (("column", "other"), lambda r: AtLeast(*r.two_columns())),
    "sql": (("columns", "never"), lambda r: Never(r.looked_at(), r.predicate())),
}


def column_of(name: object, table: TableContract, place: Place) -> str:
    if name in table.column_names:
        return str(name)
    hint = did_you_mean(str(name), table.column_names)
    raise place.error(f"{table.name} has no such column{hint}", name, ", ".join(table.column_names))


def known_keys(values: Mapping[str, Any], allowed: tuple[str, ...], place: Place) -> None:
    for key in values:
        if key not in allowed:
            raise place.error(f"unknown key{did_you_mean(key, allowed)}", key, ", ".join(allowed))


def is_number(value: object) -> bool:
    """A finite number of 64 bits; a switch is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and (isinstance(value, float) or -(2**63) <= value < 2**63)
