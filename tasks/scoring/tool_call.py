"""tool_call: the answer calls the target's tools with the target's arguments.

Calls are read as models write them: an object or a list of objects `{"name", "arguments"}` (or
`parameters`, or with `function` around it, arguments as an object or as JSON text), a message with
`tool_calls`, each in the text or between `<tool_call>` tags; or arguments in tags of their own, as
Qwen's coder models write them, each of which is what it is as JSON, else a text.

The value is the share of calls that are right: of those wanted or of those made, whichever are
more. Arguments compare as fields do in json_fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from engine.reading import xml_calls
from tasks.scoring.base import Score, shown, unscored, wrong
from tasks.scoring.json_fields import same
from tasks.scoring.json_text import UnreadableJsonError, as_text, is_deep, parse, values
from tasks.settings.section import Section

Call = tuple[str, dict[str, Any]]
_MAX_CALLS = 200


class ToolCallParameters(Section):
    arguments: Literal["all", "wanted", "none"] = Field(
        "all", description="all are the target's; those of the target are right; not looked at"
    )
    in_order: bool = Field(False, description="calls have to come in the target's order")


def tool_call(text: str, target: str, parameters: ToolCallParameters) -> Score:
    wanted = calls_of(target)
    if not wanted:
        return unscored(f"the target {shown(target)} is no tool call")
    given = calls_of(text)
    if not given:
        return wrong(text.strip(), f"{shown(text)} calls no tool")
    left = list(given)
    notes, num_right = [], 0
    for place, call in enumerate(wanted):
        candidates = given[place : place + 1] if parameters.in_order else left
        made = next((one for one in candidates if _is_right(one, call, parameters.arguments)), None)
        if made is None:
            notes.append(f"{call[0]} {_wrong(given, call)}")
            continue
        num_right += 1
        notes.append(f"{call[0]} is right")
        if not parameters.in_order:
            left.remove(made)
    if len(given) > len(wanted):
        notes.append(f"{len(given)} calls, {len(wanted)} are wanted")
    answer = as_text([{"name": name, "arguments": arguments} for name, arguments in given])
    return Score(num_right / max(len(wanted), len(given)), answer, "; ".join(notes))


def _is_right(made: Call, wanted: Call, which: str) -> bool:
    if made[0] != wanted[0]:
        return False
    if which == "none":
        return True
    if which == "all" and made[1].keys() != wanted[1].keys():
        return False
    return all(name in made[1] and same(made[1][name], value) for name, value in wanted[1].items())


def _wrong(given: list[Call], wanted: Call) -> str:
    other = next((arguments for name, arguments in given if name == wanted[0]), None)
    if other is None:
        return "is not called"
    return f"is called with {shown(as_text(other))}, not with {shown(as_text(wanted[1]))}"


def calls_of(text: str) -> list[Call]:
    """The calls in a text in order; the first 200."""
    if xml_calls.MARK in text and (in_tags := xml_calls.read(text, None)) is not None:
        return [call for call in in_tags[1] if not is_deep(call[1])][:_MAX_CALLS]
    try:
        found = [parse(text)]
    except UnreadableJsonError:
        found = list(values(text))
    calls: list[Call] = []
    for call in _in(found):
        calls.append(call)
        if len(calls) == _MAX_CALLS:
            break
    return calls


def _in(value: Any) -> Iterator[Call]:
    if isinstance(value, list):
        for item in value:
            yield from _in(item)
    elif isinstance(value, dict):
        if isinstance(value.get("tool_calls"), list):
            yield from _in(value["tool_calls"])
        elif isinstance(value.get("function"), dict):
            yield from _in(value["function"])
        elif isinstance(value.get("name"), str):
            given = value.get("arguments", value.get("parameters", {}))
            if isinstance(given, str):
                try:
                    given = parse(given or "{}")
                except UnreadableJsonError:
                    given = {"": given}  # what is no JSON is no argument that could be right
            if isinstance(given, dict):
                yield value["name"], given
