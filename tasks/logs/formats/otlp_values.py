"""OTLP's tagged values to plain JSON, and attributes looked up by any of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tasks.logs.reading.json_text import parse
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json, UnreadableError

Attributes = dict[str, Json]

_PLAIN_KINDS = frozenset({"stringValue", "doubleValue", "boolValue"})
_INDEXED = re.compile(r"([0-9]{1,6})\.(.+)")
_MAX_DEPTH = 100


def first(value: dict[str, Json], names: Iterable[str]) -> Json:
    """The value under the first of the names that is there."""
    for name in names:
        if name in value:
            return value[name]
    return None


def any_value(value: Json) -> Json:
    """An AnyValue: exactly one of stringValue, intValue, … ; no key at all is null."""
    if not isinstance(value, dict):
        raise UnreadableError(
            f"attribute value: expected an object, received {coerce.kind_of(value)}"
        )
    for kind, content in value.items():
        match kind:
            case "stringValue" | "string_value" | "bytesValue" | "bytes_value":
                return content
            case "intValue" | "int_value":
                return coerce.integer("intValue", content)
            case "doubleValue" | "double_value":
                # NaN and Infinity are texts in this mapping; they stay texts
                return content
            case "boolValue" | "bool_value":
                return content
            case "arrayValue" | "array_value":
                items = _values(kind, content)
                if not isinstance(items, list | None):
                    received = coerce.kind_of(items)
                    raise UnreadableError(f"{kind}: expected a list, received {received}")
                return [any_value(item) for item in items or ()]
            case "kvlistValue" | "kvlist_value":
                return attributes(_values(kind, content))
    return None


def _values(kind: str, content: Json) -> Json:
    """What stands in an array or a list of pairs; an empty one may leave it out, or be null."""
    if content is None:
        return None
    if not isinstance(content, dict):
        raise UnreadableError(f"{kind}: expected an object, received {coerce.kind_of(content)}")
    return content.get("values")


def attributes(pairs: Json) -> Attributes:
    """A list of {"key", "value"}, or an object (nested or not) → name → plain value."""
    if pairs is None:
        return {}
    if isinstance(pairs, dict):
        return _flat(pairs)
    if not isinstance(pairs, list):
        raise UnreadableError(f"attributes: expected a list, received {coerce.kind_of(pairs)}")
    found: Attributes = {}
    for pair in pairs:
        if type(pair) is not dict or type(key := pair.get("key")) is not str:
            raise UnreadableError("attributes: an entry without a key")
        value = pair.get("value", {})
        if type(value) is dict and len(value) == 1:  # all but a few
            ((kind, content),) = value.items()
            found[key] = content if kind in _PLAIN_KINDS else any_value(value)
        else:
            found[key] = any_value(value)
    return found


def _flat(pairs: dict[str, Json]) -> Attributes:
    """Only what hangs below a name without a dot is nesting: {"llm": {"model_name": …}}."""
    found: Attributes = {}
    for key, value in pairs.items():
        if "." not in key and isinstance(value, dict) and value:
            _flatten(found, key, value)
        else:
            found[key] = value
    return found


def _flatten(found: Attributes, prefix: str, value: Json) -> None:
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        value = {str(index): each for index, each in enumerate(value)}
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _flatten(found, f"{prefix}.{key}", inner)
    else:
        found[prefix] = value


def take(found: Attributes, *names: str) -> Json:
    """The value under the first name there is, taken out; equal values under other names too.

    A different value under another name stays, so that nothing is lost.
    """
    result: Json = None
    for name in names:
        value = found.get(name)
        if value is None:  # most of the time
            continue
        if result is None:
            result = value
        if value == result:
            del found[name]
    return result


ByName = dict[str, tuple[str, tuple[str, ...]]]


def by_name(fields: Mapping[str, tuple[str, ...]]) -> ByName:
    """Field → its attribute names, turned round: attribute name → (field, all its names)."""
    return {name: (field, names) for field, names in fields.items() for name in names}


def take_fields(found: Attributes, fields: ByName) -> dict[str, Json]:
    """`take` for every field that has any of its names here: a span has few of all the names."""
    taken: dict[str, Json] = {}
    for name in [name for name in found if name in fields]:
        field, names = fields[name]
        if field not in taken:
            taken[field] = found.pop(name) if len(names) == 1 else take(found, *names)
    return taken


def structured(value: Json) -> Json:
    """A value that may be JSON text, as it must be on spans: parsed; other text stays text."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return parse(value.encode(), _MAX_DEPTH)
        except UnreadableError:
            return value
    return value


def take_indexed(found: Attributes, prefix: str) -> list[dict[str, Json]]:
    """`prefix.0.role`, `prefix.0.content`, … → one object an index, in order of the index."""
    objects: dict[int, dict[str, Json]] = {}
    for key in [key for key in found if key.startswith(prefix + ".")]:
        match = _INDEXED.fullmatch(key[len(prefix) + 1 :])
        if match is not None:
            objects.setdefault(int(match[1]), {})[match[2]] = found.pop(key)
    return [objects[index] for index in sorted(objects)]
