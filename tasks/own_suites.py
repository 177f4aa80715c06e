"""Rules of users: a folder of TOML files, read into the same values as ours.

    suite = "calls"

    [[rules]]
    id = "our_models"
    severity = "critical"                # or "warning", or "batch" with max_ratio
    kind = "one_of"
    column = "model"
    values = ["smol-1", "smol-2"]
    meaning = "Only models we run."

The predicate of a `sql` rule is one expression over the row (tasks/sql_predicates.py).

Must not know: which stage runs a suite.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from expectations.checks import AtLeast, Between, Check, Matches, Never, OneOf, Present, Unique
from expectations.contracts import BATCH_PROFILE, TableContract
from expectations.rules import Rule, Suite, When
from tasks.errors import UsageError
from tasks.sql_predicates import RefusedPredicateError, check_predicate

_SEVERITIES = ("critical", "warning", "batch")
_COMMON = ("id", "severity", "kind", "meaning", "reason", "when", "max_ratio")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a rule stands, for errors."""

    file: str
    rule: str

    def error(self, what: str, received: object, allowed: str) -> UsageError:
        return UsageError(
            f"{self.file}, {self.rule}: {what}",
            received=repr(received)[:120],
            allowed=allowed,
            next="mend that rule, then run again",
        )


def with_own_rules(suite: Suite, folder: Path | None, suite_names: tuple[str, ...]) -> Suite:
    """The suite with the rules that the folder's files declare for it, files in order of name.

    `suite_names`: all suites a file may speak of. Raises UsageError with file and place.
    """
    if folder is None:
        return suite
    if not folder.is_dir():
        raise UsageError(
            "the folder of your own rules does not exist",
            received=str(folder),
            next="make it, or mend [validate] rules",
        )
    for path in sorted(folder.glob("*.toml")):
        for place, rule in _read_file(path, suite, suite_names):
            if rule.id in {known.id for known in suite.rules}:
                raise place.error("there is a rule of that id already", rule.id, "another id")
            suite = suite.extended([rule])
    return suite


def _read_file(path: Path, suite: Suite, suite_names: tuple[str, ...]) -> list[tuple[_Place, Rule]]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(
            f"{path.name} cannot be read: {error}", received=str(path), next="mend that line"
        ) from None
    top = _Place(path.name, "top")
    _known_keys(values, ("suite", "rules"), top)
    name = values.get("suite", "calls")
    if name not in suite_names:
        raise top.error("there is no such suite", name, ", ".join(suite_names))
    rules = values.get("rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise top.error("rules are tables", rules, "[[rules]]")
    if name != suite.name:
        return []
    found = []
    for number, declared in enumerate(rules, start=1):
        place = _Place(path.name, f"rule {number} ({declared.get('id', 'no id')})")
        found.append((place, _rule(declared, suite.table, place)))
    return found


def _rule(declared: Mapping[str, Any], table: TableContract, place: _Place) -> Rule:
    kind = declared.get("kind")
    if kind not in _KINDS:
        raise place.error("unknown kind", kind, ", ".join(_KINDS))
    keys, make = _KINDS[kind]
    _known_keys(declared, (*_COMMON, *keys), place)
    rule_id = declared.get("id")
    if not isinstance(rule_id, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", rule_id):
        raise place.error("a rule needs an id", rule_id, "a-z, 0-9 and _, at most 32 characters")
    severity = declared.get("severity", "warning")
    allowed = _SEVERITIES if table is not BATCH_PROFILE else _SEVERITIES[1:]
    if severity not in allowed:
        raise place.error("unknown severity", severity, ", ".join(allowed))
    if "\\u0000" in json.dumps(declared, default=str, ensure_ascii=False):
        raise place.error("a text holds a NUL", rule_id, "texts without NUL")
    ratio = declared.get("max_ratio", 0.0)
    if not _is_number(ratio) or not 0 <= ratio < 1 or (ratio and severity != "batch"):
        raise place.error("max_ratio", ratio, "0 to below 1, in a batch rule")
    return Rule(
        rule_id,
        severity,
        make(_Reader(declared, table, place)),
        _text(declared, "meaning", f"Rule {rule_id} holds.", place),
        _text(declared, "reason", f"Declared in {place.file}.", place),
        _conditions(declared.get("when", {}), table, place),
        float(ratio),
        place.file,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """The values of one declared rule, each checked as it is read."""

    declared: Mapping[str, Any]
    table: TableContract
    place: _Place

    def column(self, key: str = "column", *fits: str) -> str:
        """A column, of one of the kinds `fits` where any are given."""
        name = _column(self.declared.get(key), self.table, self.place)
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
            with duckdb.connect() as connection:
                connection.execute("SELECT regexp_matches('', ?)", [pattern])
        except duckdb.Error as error:
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
        if value is None or _is_number(value):
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
        return tuple(_column(name, self.table, self.place) for name in names)


_KIND_OF_TYPE = {"VARCHAR": "text", "BIGINT": "number", "INTEGER": "number", "DOUBLE": "number",
                 "TIMESTAMP": "time"}  # fmt: skip


def _kind(value: object) -> str:
    """text, number or time, as columns have it; anything else by its type."""
    if _is_number(value):
        return "number"
    return {str: "text", datetime: "time"}.get(type(value), type(value).__name__)


def _between(reader: _Reader) -> Check:
    low, high = reader.bound("min"), reader.bound("max")
    if low is None and high is None:
        raise reader.place.error("a bound is missing", None, "min, max or both")
    kinds = {_kind(bound) for bound in (low, high) if bound is not None}
    if len(kinds) > 1:
        raise reader.place.error("min and max", [low, high], "two numbers, or two times")
    return Between(reader.column("column", *kinds), low, high)


def _one_of(reader: _Reader) -> Check:
    values = reader.values()
    return OneOf(reader.column("column", _kind(values[0])), values)


#: kind → keys of its own, and how its check is made
_KINDS: dict[str, tuple[tuple[str, ...], Callable[[_Reader], Check]]] = {
    "not_null": (("column",), lambda r: Present(r.column())),
    "unique": (("column",), lambda r: Unique(r.column("column", "text", "number", "time"))),
    "between": (("column", "min", "max"), _between),
    "one_of": (("column", "values"), _one_of),
    "matches": (("column", "pattern"), lambda r: Matches(r.column("column", "text"), r.pattern())),
    "at_least": (("column", "other"), lambda r: AtLeast(*r.two_columns())),
    "sql": (("columns", "never"), lambda r: Never(r.looked_at(), r.predicate())),
}


def _conditions(value: object, table: TableContract, place: _Place) -> tuple[When, ...]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise place.error("when", value, '{ column = "text" }')
    return tuple(
        When(_Reader({"when": name}, table, place).column("when", "text"), text)
        for name, text in value.items()
    )


def _column(name: object, table: TableContract, place: _Place) -> str:
    if name in table.column_names:
        return str(name)
    near = difflib.get_close_matches(str(name), table.column_names, n=1)
    hint = f": did you mean {near[0]!r}?" if near else ""
    raise place.error(f"{table.name} has no such column{hint}", name, ", ".join(table.column_names))


def _known_keys(values: Mapping[str, Any], allowed: tuple[str, ...], place: _Place) -> None:
    for key in values:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise place.error(f"unknown key{hint}", key, ", ".join(allowed))


def _text(declared: Mapping[str, Any], key: str, default: str, place: _Place) -> str:
    value = declared.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise place.error(key, value, "a sentence")
    return value


def _is_number(value: object) -> bool:
    """A finite number of 64 bits; a switch is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and (isinstance(value, float) or -(2**63) <= value < 2**63)
