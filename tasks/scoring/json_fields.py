"""json_fields: the share of the target's fields that the answer's JSON object has right.

The target is a JSON object. The answer must contain one: the whole text, a fenced block, or the
first object that parses. Texts compare after normalisation, numbers by value, the rest as JSON.
A field too many costs nothing; an answer without an object is wrong.
"""

from __future__ import annotations

from typing import Any

from tasks.scoring.base import Score, normalise, shown, unscored, wrong
from tasks.scoring.json_text import UnreadableJsonError, as_text, parse, values


def json_fields(text: str, target: str) -> Score:
    try:
        wanted = parse(target)
    except UnreadableJsonError:
        wanted = None
    if not isinstance(wanted, dict) or not wanted:
        return unscored(f"the target {shown(target)} is not a JSON object with fields")
    answer = next(values(text), None)
    if answer is None:
        return wrong(text.strip(), f"{shown(text)} contains no JSON object")
    notes, num_right = [], 0
    for key, value in wanted.items():
        if key not in answer:
            notes.append(f"{key} is missing")
        elif same(answer[key], value):
            num_right += 1
            notes.append(f"{key} is right")
        else:
            notes.append(f"{key} is {shown(as_text(answer[key]))}, not {shown(as_text(value))}")
    return Score(num_right / len(wanted), as_text(answer), "; ".join(notes))


def same(answer: Any, value: Any) -> bool:
    """Texts after normalisation, numbers by value, the rest as JSON."""
    if isinstance(answer, str) and isinstance(value, str):
        return normalise(answer) == normalise(value)
    if isinstance(answer, bool) or isinstance(value, bool):
        return answer is value
    return bool(answer == value)
