"""Where two JSON values differ first. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MAX_CHARS = 80
_ABSENT = "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` as JSONPath has it, from `$` on; both values shortened."""

    path: str
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.path}: {self.then} → {self.now}"


def first_difference(then: Any, now: Any, path: str = "$") -> Difference | None:
    """Keys in their order by name; None where both are the same. 1 and 1.0 are, as in JSON; 1 and
    true are not."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in sorted(then.keys() | now.keys()):
            if key not in then or key not in now:
                return Difference(f"{path}.{key}", _shown(then, key), _shown(now, key))
            found = first_difference(then[key], now[key], f"{path}.{key}")
            if found is not None:
                return found
        return None
    if _is_list(then) and _is_list(now):
        for place in range(max(len(then), len(now))):
            if place >= len(then) or place >= len(now):
                return Difference(f"{path}[{place}]", _at(then, place), _at(now, place))
            found = first_difference(then[place], now[place], f"{path}[{place}]")
            if found is not None:
                return found
        return None
    if then == now and isinstance(then, bool) == isinstance(now, bool):
        return None
    return Difference(path, _text(then), _text(now))


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _shown(value: Mapping[str, Any], key: str) -> str:
    return _text(value[key]) if key in value else _ABSENT


def _at(value: Sequence[Any], place: int) -> str:
    return _text(value[place]) if place < len(value) else _ABSENT


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"
