"""What the session files of agents have in common: the conversation before each call, bounded.

A session file tells every message once, a call of the API is asked with all that came before it.
So each call gets them, with what its tools gave back; a session can be replayed step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.logs.shapes.json_text import dump, dump_bytes
from tasks.logs.shapes.parts import message_of
from tasks.logs.shapes.records import Json

#: of the messages before one call; a call with more is kept without them
MAX_CONVERSATION_BYTES = 4 * 2**20
#: of all that is held of one file
MAX_HELD_BYTES = 64 * 2**20


@dataclass(slots=True)
class Turn:
    """Messages that stand in one line of the file. `key`: of the answer that the line is a part of.

    `is_retry`: the line tells of an attempt that failed and was made again.
    """

    messages: list[dict[str, Json]]
    key: str | None = None
    is_retry: bool = False
    num_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_bytes = sum(len(dump_bytes(message)) for message in self.messages)


@dataclass(frozen=True, slots=True)
class Before:
    """What a call was asked with. `messages` None: too much, or a part is not in the file any more.

    `tags` tell that, and how many of its tools' results are new and how many of them are errors.
    """

    messages: list[Json] | None
    tags: dict[str, Json]
    retries: int | None = None


def before(
    turns: Sequence[Turn], results: dict[str, dict[str, Json]] | None = None, gap: bool = False
) -> Before:
    """`results`: of tools, by the id of their call, for those that stand on another branch."""
    if gap:
        return Before(None, {"messages_left_out": "the file does not hold the turns before"})
    num_bytes = sum(turn.num_bytes for turn in turns)
    if num_bytes > MAX_CONVERSATION_BYTES:
        return Before(None, {"messages_left_out": f"{num_bytes} bytes"})
    messages = _with_results(_joined(turns), results or {})
    new: list[dict[str, Json]] = []
    for message in reversed(messages):
        if message.get("role") == "assistant":
            break
        new.append(message)
    said = [message for message in new if message.get("role") == "tool"]
    tags: dict[str, Json] = {}
    if said:
        tags["num_tool_results"] = len(said)
        tags["num_tool_errors"] = sum(message.get("is_error") is True for message in said)
    retries = 0
    for turn in reversed(turns):
        if not turn.is_retry:
            break
        retries += 1
    return Before([*messages] or None, tags, retries or None)


def tool_results(role: str, content: Json) -> list[dict[str, Json]]:
    """A message with text or blocks; what a tool gave back tells whether it was an error."""
    blocks = content if isinstance(content, list) else []
    failed = [
        block.get("tool_use_id")
        for block in blocks
        if isinstance(block, dict) and block.get("is_error") is True
    ]
    messages = [message for message in message_of(role, content) if isinstance(message, dict)]
    return [
        {**message, "is_error": True}
        if message.get("role") == "tool" and message.get("tool_call_id") in failed else message
        for message in messages
    ]  # fmt: skip


def call_ids(message: dict[str, Json]) -> Iterable[str]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            yield call["id"]


def _joined(turns: Sequence[Turn]) -> list[dict[str, Json]]:
    """The messages in order; those that are parts of one answer are one."""
    messages: list[dict[str, Json]] = []
    places: dict[str, int] = {}
    for turn in turns:
        place = places.get(turn.key) if turn.key is not None else None
        if place is None:
            if turn.key is not None:
                places[turn.key] = len(messages)
            messages.extend(turn.messages)
        else:
            for message in turn.messages:
                messages[place] = merged(messages[place], message)
    return messages


def merged(first: dict[str, Json], second: dict[str, Json]) -> dict[str, Json]:
    """Two parts of one answer of the assistant."""
    whole: dict[str, Any] = {**first, **second}
    for key in ("content", "reasoning"):
        texts = [part[key] for part in (first, second) if part.get(key) not in (None, "", [])]
        if len(texts) == 2 and texts[0] != texts[1]:
            lists = [text if isinstance(text, list) else [{"type": "text", "text": text}]
                     for text in texts]  # fmt: skip
            both = all(isinstance(text, str) for text in texts)
            whole[key] = texts[0] + texts[1] if both else [*lists[0], *lists[1]]
        elif texts:
            whole[key] = texts[0]
    calls = [
        call for part in (first, second)
        for call in (part["tool_calls"] if isinstance(part.get("tool_calls"), list) else [])
    ]  # fmt: skip
    if calls:
        whole["tool_calls"] = list({dump(call): call for call in calls}.values())
    return whole


def _with_results(
    messages: list[dict[str, Json]], results: dict[str, dict[str, Json]]
) -> list[dict[str, Json]]:
    """Each call of a tool is followed by what it gave back."""
    on_branch = {
        message.get("tool_call_id") for message in messages if message.get("role") == "tool"
        and isinstance(message.get("tool_call_id"), str)
    }  # fmt: skip
    whole: list[dict[str, Json]] = []
    for message in messages:
        whole.append(message)
        if message.get("role") == "assistant":
            whole.extend(
                results[call_id]
                for call_id in call_ids(message)
                if call_id in results and call_id not in on_branch
            )
    return whole
