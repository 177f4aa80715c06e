"""Hostile YAML to JSON values: no aliases (bombs), no tags, bounded depth, plain scalars only.

PyYAML's safe loader resolves numbers to base 60 and to any length, which costs quadratic time,
and dates to objects: here a scalar is null, true, false, a short number, or text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from tasks.logs.shapes.json_text import plain
from tasks.logs.shapes.records import Json, UnreadableError

#: libyaml where PyYAML was built with it
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_TAGS_ALLOWED = frozenset({f"{_TAG}str", f"{_TAG}binary", "!"})


class _PlainLoader(_SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]{0,18})", list("-+0123456789")),
    ("float", r"[-+]?[0-9]{1,19}\.[0-9]{0,30}([eE][-+]?[0-9]{1,3})?", list("-+0123456789")),
):
    _PlainLoader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _first)


def parse_yaml(data: bytes, max_depth: int) -> Json:
    """The value of one YAML document. Raises UnreadableError with a reason for people."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise UnreadableError(
            f"not UTF-8: byte 0x{data[wrong.start]:02x} at byte {wrong.start}"
        ) from None
    try:
        _refuse_tricks(text, max_depth)
        return plain(yaml.load(text, Loader=_PlainLoader))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnreadableError(f"not YAML: {reason or type(error).__name__}") from None


def _refuse_tricks(text: str, max_depth: int) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_PlainLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UnreadableError("YAML aliases are refused")
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _TAGS_ALLOWED:
            raise UnreadableError(f"the YAML tag {tag[:60]!r} is refused")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > max_depth:
                raise UnreadableError(f"YAML is nested deeper than {max_depth}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
