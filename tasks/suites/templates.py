"""Templates of other tools with values put in: `{{ name }}` and `{{ item.name }}` alone. Pure.

No template language is run: what else a template holds (`{% if %}`, filters) stays as it is, and is
told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tasks.model.canonical import canonical_json

_MEMBER = re.compile(r"\{\{-?\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*-?\}\}")
_MARKUP = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def filled(template: str, values: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The text, and the marks in it that no value was known for. What a value holds is no mark."""
    unknown = [mark for mark in _MARKUP.findall(template) if _value(mark, values) is None]

    def put(found: re.Match[str]) -> str:
        value = _value(found.group(), values)
        return found.group() if value is None else value

    return _MARKUP.sub(put, template), tuple(unknown)


def _value(mark: str, values: Mapping[str, Any]) -> str | None:
    found = _MEMBER.fullmatch(mark)
    value: Any = values
    for part in found[1].split(".") if found else ():
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    if found is None or value is None:
        return None
    return value if isinstance(value, str) else canonical_json(value)


def is_only(template: str, name: str) -> bool:
    """Whether a template is one value and nothing else."""
    found = _MEMBER.fullmatch(template.strip())
    return found is not None and found[1] == name
