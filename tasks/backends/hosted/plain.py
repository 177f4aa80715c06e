"""Messages for APIs that do not take the form of OpenAI's Chat API: turns of text, calls of tools
and their answers. Pure.

Sources: tool use in Anthropic's Messages API (`tool_use`, `tool_result`) and function calling in
Google's generateContent (`functionCall`, `functionResponse`), which both put the answers of tools
into a turn of the user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.backends.hosted.trouble import Trouble, TroubleError

_NOT_OF_IDS = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a tool, its arguments as an object."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a tool answered."""

    call_id: str
    name: str
    text: str


Block = str | Called | Answered


@dataclass(frozen=True, slots=True)
class Plain:
    """`turns`: role (user or assistant) and blocks, neighbours never of one role."""

    system: str
    turns: tuple[tuple[str, tuple[Block, ...]], ...]


def plain(messages: Sequence[Mapping[str, Any]]) -> Plain:
    """Raises TroubleError on what is more than text and tools: images."""
    system: list[str] = []
    turns: list[tuple[str, list[Block]]] = []
    names: dict[str, str] = {}
    for message in with_ids(messages):
        role, text = message["role"], text_of(message)
        blocks: list[Block] = [text] if text or not message.get("tool_calls") else []
        if role in ("system", "developer"):
            system.append(text)
            continue
        if role == "tool":
            call_id = message["tool_call_id"]
            role, blocks = "user", [Answered(_id(call_id), names.get(call_id, ""), text)]
        elif role not in ("user", "assistant"):
            raise untranslated(f"a message of {role}")
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
            blocks.append(Called(_id(call["id"]), names[call["id"]], _arguments(call)))
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        own = turns[-1][1]
        if own and blocks and isinstance(own[-1], str) and isinstance(blocks[0], str):
            own[-1] = f"{own[-1]}\n\n{blocks.pop(0)}"
        own += blocks
    return Plain("\n\n".join(system), tuple((role, tuple(blocks)) for role, blocks in turns))


def with_ids(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same with an id for every call of a tool, and for every answer that of its call: some
    logs have none, and every API asks for them. Raises TroubleError on calls without a name."""
    whole: list[dict[str, Any]] = []
    waiting: list[str] = []
    num_calls = 0
    for message in messages:
        told = dict(message)
        if told.get("tool_calls"):
            calls = [dict(_call(call)) for call in told["tool_calls"]]
            for call in calls:
                num_calls += 1
                call["id"] = call.get("id") or f"call_{num_calls}"
                call["type"] = call.get("type") or "function"
            told["tool_calls"], waiting = calls, [call["id"] for call in calls]
        elif told["role"] == "tool":
            call_id = told.get("tool_call_id")
            if call_id not in waiting:
                call_id = waiting[0] if waiting else call_id or f"call_{num_calls}"
            waiting = [one for one in waiting if one != call_id]
            told["tool_call_id"] = call_id
        whole.append(told)
    return whole


def text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if content is None and message.get("tool_calls"):
        return ""
    parts = content if isinstance(content, list | tuple) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise untranslated("content that is no text")
    return "\n".join(map(str, texts))


def untranslated(what: str) -> TroubleError:
    text = f"{what} cannot be put to this API"
    return TroubleError(Trouble("untranslated", text, "refused"))


def _call(call: Any) -> Mapping[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise untranslated("a call of a tool without a name")
    assert isinstance(call, Mapping)
    return call


def _id(call_id: str) -> str:
    """Anthropic takes no other characters."""
    return _NOT_OF_IDS.sub("_", call_id)


def _arguments(call: Mapping[str, Any]) -> Mapping[str, Any]:
    given = call["function"].get("arguments")
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}")
        except (ValueError, RecursionError):
            given = {"": given}
    if given is None:
        return {}
    return given if isinstance(given, Mapping) else {"": given}
