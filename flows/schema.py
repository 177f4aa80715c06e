"""The JSON Schema of a verdict, made from the values that become its JSON.

Every value is filled by the types of its fields, once with all that may be there and once with none
of it, written as JSON, and the schema is what holds for all that was written. So a new field is in
the schema as soon as it is in the JSON.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from flows.turn import SCHEMA, Outcome
from tasks.model.profile import AnswerProfile
from tasks.model.receipt import Receipt

#: stands for any text, and for any key of an object whose keys are names
_ANY = "\0any"
#: a mapping by role that needs both
_BY_ROLE = "releases"
_TYPES = {bool: "boolean", int: "integer", float: "number"}
#: so many values a Literal may have, and so deep values lie in each other
_VARIANTS, _MAX_DEPTH = 8, 6

Schema = dict[str, Any]


class _Name(str):
    """One of a closed list, of which the schema names all."""

    __slots__ = ()


def verdict_schema() -> Schema:
    """Draft 2020-12. Keys may be added within a version, so others are allowed."""
    outcomes = [_outcome(variant) for variant in range(_VARIANTS + _MAX_DEPTH)]
    undecided = replace(outcomes[0], verdicts={}, receipts=())
    values = [outcome.to_dict() for outcome in (*outcomes, undecided)]
    schema = _schema(values)
    schema["properties"]["schema"] = {"const": SCHEMA}
    schema["properties"]["stages"]["items"]["properties"]["notes"] = {"type": "object"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Verdict of the flywheel, version 1",
        "description": "What `flywheel verdict --json` prints, and run, gate, report and "
        "judge-runs with it. Scores, differences, margins and intervals are shares, 0 to 1.",
        **schema,
    }


def _outcome(variant: int) -> Outcome:
    filled = _filled(Outcome, variant)
    assert isinstance(filled, Outcome)
    profile = _filled(AnswerProfile, variant)
    decided = Receipt("gate", _ANY, 1, 1, notes={"answers": [profile.to_json()]})
    return replace(filled, receipts=(decided, *filled.receipts))


def _filled(kind: Any, variant: int, name: str = "", depth: int = 0) -> Any:
    """A value of a type. Of the first variants each takes another of what a Literal may be; of the
    others each lacks what may lack at one depth."""
    origin, parameters = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _Name(parameters[variant % len(parameters)])
    if origin in (Union, types.UnionType):
        others = [part for part in parameters if part is not type(None)]
        if len(others) < len(parameters) and depth == variant - _VARIANTS:
            return None
        return _filled(others[variant % len(others)], variant, name, depth)
    if origin is tuple:
        listed = parameters[:-1] if parameters[-1] is Ellipsis else parameters
        return tuple(_filled(part, variant, "", depth) for part in listed)
    if origin in (Mapping, dict):
        keys = ("champion", "challenger") if name == _BY_ROLE else (_ANY,)
        return {key: _filled(parameters[1], variant, "", depth) for key in keys}
    if kind is Receipt:  # its counts have to add up
        return Receipt(_ANY, _ANY, 1, 1)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(
            **{
                field.name: _filled(hints[field.name], variant, field.name, depth + 1)
                for field in fields(kind)
            }
        )
    if kind is datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)
    plain = {str: _ANY, bool: bool(variant % 2), int: 1, float: 0.5}
    return plain.get(kind, {_ANY: _ANY})


def _schema(values: Sequence[Any]) -> Schema:
    """What holds for all of these JSON values."""
    kinds = list(dict.fromkeys(map(_kind, values)))
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    found: Schema = {"type": kinds[0] if len(kinds) == 1 else sorted(kinds)}
    texts = [value for value in values if isinstance(value, str)]
    if texts and all(isinstance(text, _Name) for text in texts):
        found["enum"] = sorted(set(map(str, texts))) + ([None] if "null" in kinds else [])
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        found |= _of_objects(objects)
    lists = [item for value in values if isinstance(value, list | tuple) for item in value]
    if lists:
        found["items"] = _schema(lists)
    return found


def _of_objects(objects: Sequence[Mapping[str, Any]]) -> Schema:
    keys = list(dict.fromkeys(key for value in objects for key in value))
    if _ANY in keys:
        others = [value[_ANY] for value in objects if _ANY in value]
        return {"additionalProperties": True if others[0] == _ANY else _schema(others)}
    return {
        "properties": {
            key: _schema([value[key] for value in objects if key in value]) for key in keys
        },
        "required": [key for key in keys if all(key in value for value in objects)],
    }


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list | tuple):
        return "array"
    return "string" if isinstance(value, str) else _TYPES[type(value)]
