"""Samples of lm-eval that choose among continuations, as lines of a suite that chooses.

A request is (context, continuation), one a choice, and the choices have the context in common. Then
there may be one more a choice without a context, which `acc_mutual_info` asks for. `target` is the
place of the right choice, or its text; where samples are written it is made a text, so that "1" may
be either, and a list of places is one too. A file is of one task, so that all its targets are read
in the same way, and what log-likelihoods and `acc` of any sample say settles it for all: were each
settled by itself, those that the model had right would be chosen. They also tell targets that only
stand in for several right ones.
Source: lm-evaluation-harness, MultipleChoiceTask and EvaluationTracker, versions 0.4.0 to 0.4.9.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from tasks.curate.modes import Mode
from tasks.suites.imported import Item, LeftOut, ScorerValue

SCORER = "multiple_choice"
_NORMALISED: ScorerValue = {"name": SCORER, "normalised": True}
Reading = Literal["place", "text"]
AGAINST = "its acc says that its target is not what is right"
#: metrics that the scorer gives
OF_CHOICES = ("acc", "acc_norm")


def is_choice(requests: Sequence[Sequence[Any]]) -> bool:
    return len(requests) > 1 and all(len(one) > 1 and isinstance(one[1], str) for one in requests)


def choice_item(
    told: Mapping[str, Any],
    requests: Sequence[Sequence[Any]],
    line: Mapping[str, Any],
    metrics: Sequence[str],
    reading: Reading | None,
    where: str,
    left_out: LeftOut,
) -> Item | None:
    """None where it cannot be asked, or where nobody can tell what is right. `told`: the line
    without choices and target; `reading`: of the targets of its file."""
    requests = _with_context(requests)
    choices = [str(one[1]) for one in requests]
    if len({str(one[0]) for one in requests}) > 1:
        left_out.add("chooses among questions, not among continuations", where)
        return None
    if len({choice.strip() for choice in choices}) < len(choices):
        left_out.add("two of its choices are the same", where)
        return None
    right = _right(line, choices, reading)
    if isinstance(right, str):
        left_out.add(right, where)
        return None
    return Item(
        where,
        {**told, "choices": choices, "target": right},
        SCORER,
        # a chat has a template of its own; a text is the whole prompt
        mode=Mode("choose", is_raw="input" in told),
        also=(_NORMALISED,) if "acc_norm" in metrics else (),
    )


def _with_context(requests: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Those that choose, without those that only weigh a choice by itself."""
    half = len(requests) // 2
    is_double = len(requests) == 2 * half and requests[0][0] != ""
    if is_double and all(one[0] == "" for one in requests[half:]):
        return requests[:half]
    return requests


def reading_of(
    samples: Iterable[tuple[Mapping[str, Any], Sequence[Sequence[Any]]]],
) -> Reading | None:
    """How the targets of a file are read, of (line, requests); None where nothing tells."""
    possible: set[Reading] = {"place", "text"}
    for line, requests in samples:
        choices = [str(one[1]) for one in _with_context(requests)]
        found = _places(line.get("target"), choices)
        if not isinstance(found, str) and len(set(found.values())) > 1:
            possible -= {
                reading for reading, place in found.items()
                if place is None or _against(line, place, len(choices))
            }  # fmt: skip
    return possible.pop() if len(possible) == 1 else None


def _right(line: Mapping[str, Any], choices: Sequence[str], reading: Reading | None) -> int | str:
    """The place of the right choice, or why none is known."""
    found = _places(line.get("target"), choices)
    if isinstance(found, str):
        return found
    places = {place for place in found.values() if place is not None}
    if len(places) > 1:
        if reading is None:
            return "its target is a place or a text of its choices"
        places = {place for name, place in found.items() if name == reading and place is not None}
    place = places.pop()
    return _against(line, place, len(choices)) or place


def _places(target: Any, choices: Sequence[str]) -> dict[Reading, int | None] | str:
    """What a target names, read as a place and as a text; or why it names none."""
    if isinstance(target, str) and target.strip().startswith("["):
        target = _listed(target)
    if isinstance(target, list):
        if len(target) != 1:
            return "several of its choices are right" if target else "its target is none"
        target = target[0]
    texts = [choice.strip() for choice in choices]
    named = "" if target is None else str(target).strip()
    as_text = texts.index(named) if named in texts else None
    as_place = next((place for place in range(len(choices)) if named == str(place)), None)
    if as_text is None and as_place is None:
        return "its target is none of its choices"
    return {"place": as_place, "text": as_text}


def _against(line: Mapping[str, Any], place: int, num_choices: int) -> str:
    """Why a place cannot be right: by the most likely choice, and whether lm-eval counted it."""
    best, score = _best(line, num_choices), line.get("acc")
    if best is None or not isinstance(score, int | float):
        return ""
    if score not in (0, 1):
        return "its acc is neither 0 nor 1: several of its choices may be right"
    return "" if (place == best) == bool(score) else AGAINST


def _listed(text: str) -> Any:
    """A list of places or texts as it was written; else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _best(line: Mapping[str, Any], num_choices: int) -> int | None:
    """The most likely choice as lm-eval found it; None where that is not told or not one."""
    responses = line.get("filtered_resps")
    if not isinstance(responses, list) or len(responses) < num_choices:
        return None
    try:
        weights = [_logprob(one) for one in responses[:num_choices]]
    except (TypeError, ValueError, IndexError):
        return None
    best = max(weights)
    return weights.index(best) if weights.count(best) == 1 else None


def _logprob(response: Any) -> float:
    """Of [log-likelihood, whether it is the greedy one], both texts or not, in lists of one."""
    while isinstance(response, list):
        response = response[0]
    return float(response)
