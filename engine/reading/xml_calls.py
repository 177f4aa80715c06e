"""Calls of tools as Qwen's coder models write them, each argument between tags of its own:

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

One line end after the opening tag and one before the closing one are no part of a value; a value
may be of many lines and may hold tags itself, whole calls too. What it is by type, the tool's
schema says. Pure.
Source: the chat template of Qwen3-Coder. It is read as vLLM's parser qwen3_coder reads it, but for
a value of another type than the schema says, which stays a text and never becomes false, and for a
call that is cut off, which is none.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MARK", "read"]

MARK = "<function="
_TAG = re.compile(
    r"(?:<tool_call>\s*)?<function=(?P<function>[^<>{}\"'\s]+)>"
    r"|<parameter=(?P<parameter>[^<>\n]+)>"
    r"|</(?P<close>parameter|function|tool_call)>"
)
#: more tags than any call has: they are looked at for every argument
_MAX_TAGS = 2000
_MAX_REFERENCES = 8
#: longer values are not read as Python's
_MAX_LITERAL_CHARS = 1 << 16
_NO_VALUE = ("null", "none")


@dataclass(frozen=True, slots=True)
class _Tag:
    """`kind`: function, parameter, or what closes one, with its slash."""

    kind: str
    start: int
    end: int
    name: str = ""


def read(
    text: str, tools: Mapping[str, Mapping[str, Any]] | None
) -> tuple[int, list[tuple[str, dict[str, Any]]]] | None:
    """Where the calls begin, and each by name and arguments, but for a last one that is cut off.
    None where the text holds none, or one that names none of the tools. `tools`: name → schema of
    the parameters; None: not known, so any name will do, and a value is what it is as JSON."""
    tags = list(_tags(text))
    first = next((place for place, tag in enumerate(tags) if tag.kind == "function"), None)
    if first is None or len(tags) > _MAX_TAGS:
        return None
    calls: list[tuple[str, dict[str, Any]]] = []
    place: int | None = first
    while place is not None:
        name = tags[place].name
        if tools is not None and name not in tools:
            return None
        schema = None if tools is None else tools[name]
        found = _arguments(text, tags, place + 1, schema)
        if found is None:
            break
        arguments, after = found
        calls.append((name, arguments))
        later = range(after, len(tags))
        place = next((number for number in later if tags[number].kind == "function"), None)
    return (tags[first].start, calls) if calls else None


def _tags(text: str) -> Iterator[_Tag]:
    """An argument begins on a line of its own, or right after another tag; else it is text."""
    after = 0
    for match in _TAG.finditer(text):
        start, end = match.span()
        if match["close"]:
            yield _Tag(f"/{match['close']}", start, end)
        elif match["function"]:
            yield _Tag("function", start, end, match["function"])
        elif not text[max(after, text.rfind("\n", 0, start) + 1) : start].strip():
            yield _Tag("parameter", start, end, match["parameter"])
        else:
            continue
        after = end


def _arguments(
    text: str, tags: list[_Tag], place: int, schema: Mapping[str, Any] | None
) -> tuple[dict[str, Any], int] | None:
    """Of the function before tag `place`, and the tag after it; None where it is cut off."""
    arguments: dict[str, Any] = {}
    properties = _properties(schema)
    while place < len(tags):
        tag = tags[place]
        if tag.kind in ("/function", "/tool_call"):
            is_both = tag.kind == "/function" and place + 1 < len(tags)
            return arguments, place + 1 + (is_both and tags[place + 1].kind == "/tool_call")
        if tag.kind != "parameter":
            place += 1  # a tag that closes nothing
            continue
        end = _end(text, tags, place + 1, properties)
        if end is None:
            return None
        value = text[tag.end : tags[end].start].removeprefix("\n").removesuffix("\n")
        arguments[tag.name] = _typed(value, tag.name, schema, properties)
        place = end + (tags[end].kind == "/parameter")
    return None


def _end(text: str, tags: list[_Tag], place: int, properties: Mapping[str, Any]) -> int | None:
    """The tag that ends a value which begins before tag `place`: what closes it and is followed by
    a tag of the call's own; where nothing does, the next tag that can only be the call's own."""
    depth = 0
    for number in range(place, len(tags)):
        tag = tags[number]
        if tag.kind == "parameter":
            depth += 1
        elif tag.kind == "/parameter":
            if depth:
                depth -= 1
            elif _is_followed(text, tags, number, properties):
                return number
    for number in range(place, len(tags)):
        tag = tags[number]
        if tag.kind == "parameter" and tag.name in properties:
            return number
        after = tags[number + 1] if number + 1 < len(tags) else None
        closes = after is not None and after.kind == "/tool_call"
        if tag.kind == "/function" and (closes or not text[tag.end :].strip()):
            return number
    return None


def _is_followed(text: str, tags: list[_Tag], number: int, properties: Mapping[str, Any]) -> bool:
    """By a tag of the call's own, with nothing but space between."""
    if number + 1 == len(tags):
        return False  # it may go on, so the call is cut off
    after = tags[number + 1]
    if text[tags[number].end : after.start].strip():
        return False
    if after.kind == "parameter":
        return after.name in properties or not properties
    return after.kind in ("/function", "/tool_call")


def _properties(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _typed(
    value: str, name: str, schema: Mapping[str, Any] | None, properties: Mapping[str, Any]
) -> Any:
    if schema is None:
        return _of_json(value)
    if name not in properties:
        return value
    kinds = _kinds(properties[name], schema)
    if "null" in kinds and value.strip().lower() in _NO_VALUE:
        return None
    kind = next((kind for kind in kinds if kind != "null"), "string")
    if kind == "string":
        return value
    if value.strip().lower() in _NO_VALUE:
        return None
    return _read_as(kind, value)


def _kinds(of: Any, root: Mapping[str, Any]) -> list[str]:
    """The types that a value may have, in order; of a schema that says none, a text."""
    for _ in range(_MAX_REFERENCES):
        if not isinstance(of, Mapping) or not isinstance(of.get("$ref"), str):
            break
        of = _referred(of["$ref"], root)
    if not isinstance(of, Mapping):
        return ["string"]
    given = of.get("type")
    if isinstance(given, str | list):
        names = [given] if isinstance(given, str) else given
        return [_kind(name) for name in names if isinstance(name, str)]
    for joined in ("anyOf", "oneOf"):
        if isinstance(of.get(joined), list):
            return [kind for one in of[joined][:32] for kind in _kinds_of_one(one, root)]
    values = of.get("enum", [of["const"]] if "const" in of else [])
    if isinstance(values, list) and values and not any(isinstance(one, str) for one in values):
        return ["any"]
    if "properties" in of:
        return ["object"]
    return ["array"] if "items" in of else ["string"]


def _kinds_of_one(of: Any, root: Mapping[str, Any]) -> list[str]:
    """Of a schema among several: no deeper than one level of them."""
    is_joined = isinstance(of, Mapping) and ("anyOf" in of or "oneOf" in of)
    return ["any"] if is_joined else _kinds(of, root)


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _kind(name: str) -> str:
    """Of what people write for types, too."""
    name = name.strip().lower()
    for kind, begins in (
        ("integer", ("int", "uint", "long", "short", "unsigned")),
        ("number", ("num", "float", "double")),
        ("boolean", ("bool", "binary")),
        ("object", ("object", "dict", "map")),
        ("array", ("arr", "list")),
        ("null", ("null", "none")),
        ("string", ("str", "text", "varchar", "char", "enum")),
    ):
        if name.startswith(begins):
            return kind
    return "any"


def _read_as(kind: str, value: str) -> Any:
    """A value that is not of its kind stays a text."""
    told = value.strip()
    try:
        if kind == "integer":
            return int(told)
        if kind == "number":
            number = float(told)
            if number != number or number in (float("inf"), float("-inf")):
                return value
            return int(number) if number.is_integer() else number
    except ValueError:  # of too many digits, too
        return value
    if kind == "boolean":
        return {"true": True, "false": False}.get(told.lower(), value)
    found = _of_json(told)
    if found is told or isinstance(found, str):  # JSON of Python's text of it, or that text alone
        found = _of_python(found)
    wanted = {"object": dict, "array": list}.get(kind)
    return found if wanted is None or isinstance(found, wanted) else value


def _of_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _of_python(text: str) -> Any:
    """A literal, as templates write that turn values into texts; runs nothing."""
    if len(text) > _MAX_LITERAL_CHARS:
        return text
    try:
        return json.loads(json.dumps(ast.literal_eval(text), allow_nan=False))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text
