"""Schemas as Google writes them, a dialect of OpenAPI's, as JSON Schema. Pure.

Source: Schema of generateContent's reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: lists of the members of an object, in their order
ORDERINGS = ("propertyOrdering", "property_ordering")


def small_types(schema: Any) -> Any:
    """Gemini writes the types of JSON Schema in capitals."""
    if isinstance(schema, Mapping):
        return {
            key: item.lower() if key == "type" and isinstance(item, str) else small_types(item)
            for key, item in schema.items()
        }
    return [small_types(item) for item in schema] if isinstance(schema, list) else schema


def json_schema_of(schema: Any) -> Any:
    """`nullable` as a type among others; without what only another dialect knows."""
    if isinstance(schema, list):
        return [json_schema_of(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    told = {key: item for key, item in schema.items() if key not in ORDERINGS}
    is_nullable = told.pop("nullable", False) is True
    if told.get("format") == "enum":
        del told["format"]
    named = told.get("properties")
    whole = {
        key: {name: json_schema_of(one) for name, one in named.items()}
        if key == "properties" and isinstance(named, Mapping)
        else item.lower()
        if key == "type" and isinstance(item, str)
        else item
        if key in ("enum", "default", "example", "required")
        else json_schema_of(item)
        for key, item in told.items()
    }
    return {"anyOf": [whole, {"type": "null"}]} if is_nullable else whole
