"""A recorded session as samples: every turn of the assistant is a step, asked with all that was
recorded before it, and what was recorded there is its target.

So no release waits for a tool: up to the first step at which it departs, this is what a replay with
recorded answers would ask it, and beyond no recorded answer would fit. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.curate.frame import when
from tasks.model.logged_call import Conversation, LoggedCall, conversation_from
from tasks.model.served import Served
from tasks.model.tool_calls import recorded_in


@dataclass(frozen=True, slots=True)
class Step:
    """The `number`th turn of the assistant, from 1 on, and what it said or called there."""

    number: int
    conversation: Conversation
    recorded: str


def steps(messages: Sequence[Mapping[str, Any]], served: Served) -> list[Step]:
    """Raises ValueError where a session cannot be taken apart, in words for its author."""
    found: list[Step] = []
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or message.get("role") != "assistant":
            continue
        conversation = conversation_from(messages[:place], served)
        if conversation is None:
            raise ValueError(f"nothing can be asked before message {place + 1}, the assistant's")
        recorded = recorded_in(message)
        if recorded is None:
            raise ValueError(f"message {place + 1}, the assistant's, says and calls nothing")
        found.append(Step(len(found) + 1, conversation, recorded))
    if not found or messages[-1].get("role") != "assistant":
        raise ValueError("it does not end with a message of the assistant")
    return found


def numbered(
    calls: Sequence[LoggedCall], tasks: Collection[str], apart: Collection[str] = ()
) -> list[LoggedCall]:
    """The same calls; those of a session and one of these tasks with their place in it, by time.
    Of sessions `apart` not all calls were read, so nobody knows the places: theirs are samples like
    any other."""
    unknown = {None, *apart}
    places: dict[str | None, dict[tuple[str, str], int]] = {}
    for call in calls:
        if call.session_id not in unknown and call.task in tasks:
            places.setdefault(call.session_id, {})[when(call)] = 0
    for of_session in places.values():
        of_session |= {key: place for place, key in enumerate(sorted(of_session), 1)}
    return [
        replace(call, step=places[call.session_id][when(call)])
        if call.session_id in places and call.task in tasks
        else call
        for call in calls
    ]
