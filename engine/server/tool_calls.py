"""Calls of tools in what a model says, as OpenAI's API tells them.

Two ways of writing them are read, whatever the family: JSON objects between <tool_call> and
</tool_call> (Hermes, Qwen, SmolLM), and an answer that is JSON as a whole (Llama 3, Mistral). What
names none of the tools offered is text. Pure.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

__all__ = ["Said", "num_certain", "read"]

_OPENS, _CLOSES = "<tool_call>", "</tool_call>"
_CALL = re.compile(rf"{_OPENS}(.*?)(?:{_CLOSES}|\Z)", re.DOTALL)
#: what whole answers that are calls begin with, once special tokens are out
_BARE = ("{", "[", "<|python_tag|>", "[TOOL_CALLS]")
_ARGUMENTS = ("arguments", "parameters")


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: its text up to the calls, and the calls. `calls` empty: all of it is text."""

    text: str
    calls: tuple[dict[str, Any], ...] = ()


def read(text: str, names: Collection[str]) -> Said:
    """`names`: of the tools that were offered."""
    found = [_calls(part, names) for part in _CALL.findall(text)]
    if found and all(found):
        before = text[: text.index(_OPENS)]
        return Said(before, tuple(call for calls in found for call in calls))
    bare = text.strip()
    for mark in _BARE[2:]:
        bare = bare.removeprefix(mark)
    calls = _calls(bare, names)
    return Said("", calls) if calls else Said(text)


def num_certain(text: str) -> int:
    """How many characters are text whatever comes after them."""
    begins = text.lstrip()
    if begins.startswith(_BARE) or any(mark.startswith(begins) for mark in _BARE):
        return 0
    if (start := text.find(_OPENS)) >= 0:
        return start
    for length in range(min(len(_OPENS) - 1, len(text)), 0, -1):
        if _OPENS.startswith(text[-length:]):
            return len(text) - length
    return len(text)


def _calls(text: str, names: Collection[str]) -> tuple[dict[str, Any], ...]:
    """None where any part of it is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    calls = []
    for item in value if isinstance(value, list) else [value]:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in names:
            return ()
        given: Any = next((item[key] for key in _ARGUMENTS if key in item), {})
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        function = {"name": name, "arguments": arguments}
        calls.append({"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": function})
    return tuple(calls)
