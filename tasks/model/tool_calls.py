"""Calls of tools as a text: one form, whoever made them, so that one scorer reads all.

`<tool_call>{"name": …, "arguments": {…}}</tool_call>`, each on a line of its own after what was
said, as Hermes and Qwen models write them by themselves. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tasks.model.canonical import canonical_json


def with_calls(text: str, calls: Iterable[tuple[str, Any]]) -> str:
    """`calls`: name and arguments, as an object or as JSON text; what is no JSON stays a text."""
    lines = [text] if text.strip() else []
    for name, arguments in calls:
        said = canonical_json({"name": name, "arguments": _read(arguments)})
        lines.append(f"<tool_call>{said}</tool_call>")
    return "\n".join(lines) if lines else text


def calls_in(message: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Name and arguments of the calls of a message in OpenAI's form; what has no name is none."""
    calls = message.get("tool_calls")
    found = []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            found.append((function["name"], function.get("arguments")))
    return found


def recorded_in(message: Mapping[str, Any]) -> str | None:
    """Text and calls of an answer in one text; None where there is neither."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "\n".join(text for text in parts if isinstance(text, str))
    text = with_calls(content if isinstance(content, str) else "", calls_in(message))
    return text if text.strip() else None


def _read(arguments: Any) -> Any:
    if arguments is None or arguments == "":
        return {}
    if isinstance(arguments, str):
        try:
            return json.loads(arguments)
        except (ValueError, RecursionError):
            return arguments
    return arguments
