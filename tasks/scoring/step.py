"""step: the answer does at its place in a recorded session what was recorded there.

A step calls tools or says something. Its calls are right where they are the recorded ones by name
and normalised arguments; what is said is held to the recorded text only as far as asked for,
because another wording is no departure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from tasks.model.canonical import canonical_json
from tasks.scoring.base import Score, normalise, right, shown, wrong
from tasks.scoring.exact import exact_match
from tasks.scoring.includes import includes
from tasks.scoring.tool_call import Call, calls_of
from tasks.settings.section import Section

_TAG = "<tool_call>"


class StepParameters(Section):
    goal: Literal["any", "includes", "exact_match"] = Field(
        "any", description="what is said where no tool is called: anything, or right by that scorer"
    )
    in_order: bool = Field(False, description="several calls of a step come in the recorded order")


def step(text: str, target: str, parameters: StepParameters) -> Score:
    wanted, given = recorded_calls(target), calls_of(text)
    if wanted:
        if same_calls(given, wanted, in_order=parameters.in_order):
            return right(_told(given), f"calls {_told(given)}, as recorded")
        return wrong(_told(given), f"departs: {_said(text, given)}, recorded is {_told(wanted)}")
    if given:
        return wrong(_told(given), f"departs: calls {_told(given)}, recorded is an answer")
    if not text.strip():
        return wrong("", "departs: says nothing, recorded is an answer")
    if parameters.goal == "any":
        return right(text.strip(), "answers, as recorded")
    return (includes if parameters.goal == "includes" else exact_match)(text, target)


def recorded_calls(target: str) -> list[Call]:
    """A recorded answer that is JSON is no call; recorded calls stand between tags."""
    return calls_of(target) if _TAG in target else []


def same_calls(given: Sequence[Call], wanted: Sequence[Call], *, in_order: bool = False) -> bool:
    """By name and normalised arguments."""
    if len(given) != len(wanted):
        return False
    if in_order:
        return all(map(_is_same, given, wanted))
    left = list(wanted)
    for call in given:
        match = next((one for one in left if _is_same(call, one)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _is_same(one: Call, other: Call) -> bool:
    return one[0] == other[0] and _alike(one[1], other[1])


def _alike(one: Any, other: Any) -> bool:
    """Texts after normalisation, numbers by value, at any depth; an empty member as none."""
    if isinstance(one, dict) and isinstance(other, dict):
        sides = [{k: v for k, v in side.items() if v is not None} for side in (one, other)]
        return sides[0].keys() == sides[1].keys() and all(
            _alike(value, sides[1][key]) for key, value in sides[0].items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return normalise(one) == normalise(other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _said(text: str, given: Sequence[Call]) -> str:
    if given:
        return f"calls {_told(given)}"
    return f"says {shown(text)}" if text.strip() else "says nothing"


def _told(calls: Sequence[Call]) -> str:
    shown_calls = (f"{name}({canonical_json(arguments)[:160]})" for name, arguments in calls[:5])
    return ", ".join(shown_calls)
