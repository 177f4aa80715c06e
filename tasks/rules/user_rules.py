"""Rules of users: a folder of TOML files, read into the same values as ours.

    suite = "calls"

    [[rules]]
    id = "our_models"
    severity = "critical"                # or "warning", or "batch" with max_ratio
    kind = "one_of"
    column = "model"
    values = ["smol-1", "smol-2"]
    meaning = "Only models we run."

The predicate of a `sql` rule is one expression over the row (predicates.py).

Must not know: which stage judges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expectations.contracts import BATCH_PROFILE, TableContract
from expectations.rules import Rule, RuleSet, When
from tasks.errors import UsageError
from tasks.rules.values import KINDS, Place, Reader, is_number, known_keys
from tasks.settings.toml import read_toml

_SEVERITIES = ("critical", "warning", "batch")
_COMMON = ("id", "severity", "kind", "meaning", "reason", "when", "max_ratio")


def with_own_rules(rule_set: RuleSet, folder: Path | None, names: tuple[str, ...]) -> RuleSet:
    """The set with the rules that the folder's files declare for it, files in order of name.

    `names`: what a file may speak of by its key `suite`. Raises UsageError with file and place.
    """
    if folder is None:
        return rule_set
    if not folder.is_dir():
        raise UsageError(
            "the folder of your own rules does not exist",
            received=str(folder),
            next="make it, or correct validate.rules",
        )
    for path in sorted(folder.glob("*.toml")):
        for place, rule in _read_file(path, rule_set, names):
            if rule.id in {known.id for known in rule_set.rules}:
                raise place.error("there is a rule of that id already", rule.id, "another id")
            rule_set = rule_set.extended([rule])
    return rule_set


def _read_file(path: Path, rule_set: RuleSet, names: tuple[str, ...]) -> list[tuple[Place, Rule]]:
    try:
        values = read_toml(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{path.name} cannot be read: {error}", received=str(path), next="fix that line"
        ) from None
    top = Place(path.name, "top")
    known_keys(values, ("suite", "rules"), top)
    name = values.get("suite", "calls")
    if name not in names:
        raise top.error("there is no such suite", name, ", ".join(names))
    rules = values.get("rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise top.error("rules are tables", rules, "[[rules]]")
    if name != rule_set.name:
        return []
    placed = []
    for number, declared in enumerate(rules, start=1):
        place = Place(path.name, f"rule {number} ({declared.get('id', 'no id')})")
        placed.append((place, _rule(declared, rule_set.table, place)))
    return placed


def _rule(declared: Mapping[str, Any], table: TableContract, place: Place) -> Rule:
    kind = declared.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise place.error("unknown kind", kind, ", ".join(KINDS))
    keys, make = KINDS[kind]
    known_keys(declared, (*_COMMON, *keys), place)
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
    if not is_number(ratio) or not 0 <= ratio < 1 or (ratio and severity != "batch"):
        raise place.error("max_ratio", ratio, "0 to below 1, in a batch rule")
    return Rule(
        rule_id,
        severity,
        make(Reader(declared, table, place)),
        _text(declared, "meaning", f"Rule {rule_id} holds.", place),
        _text(declared, "reason", f"Declared in {place.file}.", place),
        _conditions(declared.get("when", {}), table, place),
        float(ratio),
        place.file,
    )


def _conditions(value: object, table: TableContract, place: Place) -> tuple[When, ...]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise place.error("when", value, '{ column = "text" }')
    return tuple(
        When(Reader({"when": name}, table, place).column("when", "text"), text)
        for name, text in value.items()
    )


def _text(declared: Mapping[str, Any], key: str, default: str, place: Place) -> str:
    value = declared.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise place.error(key, value, "a sentence")
    return value
