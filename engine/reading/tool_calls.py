"""Calls of tools in what a model says, as OpenAI's API tells them.

Three ways of writing them are read, whatever the family: JSON objects between <tool_call> and
</tool_call> (Hermes, Qwen, SmolLM), arguments between tags of their own (Qwen's coder models,
xml_calls.py), and an answer that is JSON as a whole (Llama 3, Mistral). What names none of the
tools offered is text, and so is a call that is cut off; after whole ones it is nothing. Pure.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from engine.reading import xml_calls

__all__ = ["Said", "num_certain", "read"]

_OPENS, _CLOSES = "<tool_call>", "</tool_call>"
_CALL = re.compile(rf"{_OPENS}(.*?)(?:{_CLOSES}|\Z)", re.DOTALL)
#: what whole answers that are calls begin with, once special tokens are out
_BARE = ("{", "[", "<|python_tag|>", "[TOOL_CALLS]")
_ARGUMENTS = ("arguments", "parameters")
_MARKS = (_OPENS, xml_calls.MARK)
_JSON = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: its text up to the calls, and the calls. `calls` empty: all of it is text."""

    text: str
    calls: tuple[dict[str, Any], ...] = ()


def read(text: str, tools: Mapping[str, Mapping[str, Any]]) -> Said:
    """`tools`: name → schema of the parameters, of those that were offered."""
    if (in_xml := xml_calls.read(text, tools)) is not None:
        start, pairs = in_xml
        return Said(text[:start], tuple(_call(name, arguments) for name, arguments in pairs))
    parts = list(_CALL.finditer(text))
    found = [_calls(part[1], tools) for part in parts]
    if len(found) > 1 and not found[-1] and not parts[-1][0].endswith(_CLOSES):
        found.pop()  # cut off: those before it were made
    if found and all(found):
        before = text[: text.index(_OPENS)]
        return Said(before, tuple(call for calls in found for call in calls))
    bare = text.strip()
    for mark in _BARE[2:]:
        bare = bare.removeprefix(mark)
    calls = _calls(bare, tools)
    return Said("", calls) if calls else Said(text)


def num_certain(text: str) -> int:
    """How many characters are text whatever comes after them."""
    begins = text.lstrip()
    if begins.startswith(_BARE) or any(mark.startswith(begins) for mark in _BARE):
        return 0
    starts = [start for mark in _MARKS if (start := text.find(mark)) >= 0]
    if starts:
        return min(starts)
    for length in range(min(max(map(len, _MARKS)) - 1, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in _MARKS):
            return len(text) - length
    return len(text)


def _calls(text: str, names: Collection[str]) -> tuple[dict[str, Any], ...]:
    """None where any part of it is something else."""
    calls = []
    for item in _values(text):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in names:
            return ()
        given: Any = next((item[key] for key in _ARGUMENTS if key in item), {})
        calls.append(_call(name, given))
    return tuple(calls)


def _values(text: str) -> list[Any]:
    """Of a list, or of values one after another: where a tokenizer's own tags are no text, nothing
    but space is left between calls. One that is no JSON: none of them."""
    values: list[Any] = []
    text, place = text.strip(), 0
    try:
        while place < len(text):
            value, place = _JSON.raw_decode(text, place)
            values += value if isinstance(value, list) else [value]
            while text[place : place + 1].isspace():
                place += 1
    except (ValueError, RecursionError):
        return []
    return values


def _call(name: str, given: Any) -> dict[str, Any]:
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": function}
