"""json_fields: the share of the target's fields that the answer's JSON object has right.

The target is a JSON object. The answer must contain one: the whole text, a fenced block, or the
first object that parses. Texts compare after normalisation, numbers by value, the rest as JSON.
A field too many costs nothing; an answer without an object is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tasks.scoring.base import Score, normalise, shown, unscored, wrong

_MAX_STARTS = 50


def json_fields(text: str, target: str) -> Score:
    wanted = _parse(target)
    if not isinstance(wanted, dict) or not wanted:
        return unscored(f"the target {shown(target)} is not a JSON object with fields")
    answer = next(_objects(text), None)
    if answer is None:
        return wrong(text.strip(), f"{shown(text)} contains no JSON object")
    notes, num_right = [], 0
    for key, value in wanted.items():
        if key not in answer:
            notes.append(f"{key} is missing")
        elif _same(answer[key], value):
            num_right += 1
            notes.append(f"{key} is right")
        else:
            notes.append(f"{key} is {shown(_text(answer[key]))}, not {shown(_text(value))}")
    return Score(num_right / len(wanted), _text(answer), "; ".join(notes))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects in the text, left to right; bounded, because the text is hostile."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(_MAX_STARTS):
        if start < 0:
            return
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            yield value
            return
        start = text.find("{", start + 1)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _same(answer: Any, value: Any) -> bool:
    if isinstance(answer, str) and isinstance(value, str):
        return normalise(answer) == normalise(value)
    if isinstance(answer, bool) or isinstance(value, bool):
        return answer is value
    return bool(answer == value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
