"""Calls whose arguments stand in tags of their own (Qwen's coder models), as all others are kept:
what such a value is, only the tools that were offered say, and scorers know none. Pure.
"""

from __future__ import annotations

from engine.reading import xml_calls
from engine.reading.reasoning import split
from tasks.backends.base import Ask
from tasks.model.tool_calls import with_calls


def kept_text(ask: Ask, text: str) -> str:
    """The text of an answer as it is kept: with such calls as tasks/model/tool_calls.py writes
    them, without a last one that is cut off. What calls what was not offered stays as it is."""
    if not ask.tools or xml_calls.MARK not in text:
        return text
    functions = [tool["function"] for tool in ask.tools]
    thoughts, answer = split(text)
    found = xml_calls.read(answer, {one["name"]: one.get("parameters") or {} for one in functions})
    if found is None:
        return text
    start, calls = found
    return thoughts + with_calls(answer[:start].rstrip("\n"), calls)
