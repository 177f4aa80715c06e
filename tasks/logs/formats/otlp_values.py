"""OTLP's tagged values to plain JSON, and attributes looked up by any of their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json, UnreadableError

Attributes = dict[str, Json]

#: Logfire: a request and a response as the client had them
_WHOLE = frozenset({"request_data", "response_data"})
_INDEXED = re.compile(r"([0-9]{1,6})\.(.+)")


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
    attrs: Attributes = {}
    for pair in pairs:
        if type(pair) is not dict or type(key := pair.get("key")) is not str:
            raise UnreadableError("attributes: an entry without a key")
        value = pair.get("value", {})
        text = value.get("stringValue") if type(value) is dict else None  # as most are
        attrs[key] = text if text is not None and len(value) == 1 else any_value(value)
    return attrs


def _flat(pairs: dict[str, Json]) -> Attributes:
    """Only what hangs below a name without a dot is nesting: {"llm": {"model_name": …}}."""
    attrs: Attributes = {}
    for key, value in pairs.items():
        if "." not in key and isinstance(value, dict) and value and key not in _WHOLE:
            _flatten(attrs, key, value)
        else:
            attrs[key] = value
    return attrs


def _flatten(attrs: Attributes, prefix: str, value: Json) -> None:
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = {str(index): item for index, item in enumerate(value)}
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _flatten(attrs, f"{prefix}.{key}", inner)
    else:
        attrs[prefix] = value


def take(attrs: Attributes, *names: str) -> Json:
    """The value under the first name there is, taken out; equal values under other names too.

    A different value under another name stays, so that nothing is lost.
    """
    result: Json = None
    for name in names:
        value = attrs.get(name)
        if value is None:  # most of the time
            continue
        if result is None:
            result = value
        if value == result:
            del attrs[name]
    return result


ByName = dict[str, tuple[str, tuple[str, ...]]]


def by_name(fields: Mapping[str, tuple[str, ...]]) -> ByName:
    """Field → its attribute names, turned round: attribute name → (field, all its names)."""
    return {name: (field, names) for field, names in fields.items() for name in names}


def take_fields(attrs: Attributes, fields: ByName) -> dict[str, Json]:
    """`take` for every field that has any of its names here: a span has few of all the names."""
    here = [name for name in attrs if name in fields]
    taken = {fields[name][0]: attrs[name] for name in here}
    if len(taken) < len(here):  # a field under two names
        known = dict.fromkeys(fields[name] for name in here)
        return {field: take(attrs, *names) for field, names in known}
    for name in here:
        del attrs[name]
    return taken


def take_indexed(attrs: Attributes, prefix: str) -> list[dict[str, Json]]:
    """`prefix.0.role`, `prefix.0.content`, … → one object an index, in order of the index."""
    objects: dict[int, dict[str, Json]] = {}
    for key in [key for key in attrs if key.startswith(prefix + ".")]:
        match = _INDEXED.fullmatch(key[len(prefix) + 1 :])
        if match is not None:
            objects.setdefault(int(match[1]), {})[match[2]] = attrs.pop(key)
    return [objects[index] for index in sorted(objects)]
