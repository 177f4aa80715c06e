"""Chats: messages, and what else a model's template may be told. Checked here, before any template
is run.

Shapes are those of OpenAI's API; what templates expect beyond it, arguments of tool calls as
objects, is Transformers' (Templates for tool use).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from engine.errors import InvalidRequestError

__all__ = ["ROLES", "Chat", "Message", "checked_messages", "checked_tools", "checked_variables"]

Message: TypeAlias = dict[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool")
#: what the engine itself tells a template
_RESERVED = frozenset({
    "messages", "tools", "documents", "add_generation_prompt", "continue_final_message",
    "conversations", "conversation", "chat_template", "return_assistant_tokens_mask",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chat:
    """A prompt of messages.

    tools      functions that the model may call, as OpenAI's API describes them
    variables  further ones of the model's template, such as {"enable_thinking": False}
    continues  the answer goes on with the last message, which is the assistant's
    """

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    continues: bool = False


def checked_messages(messages: Sequence[Message]) -> list[Message]:
    """With known roles, contents as one text, arguments as objects. Raises InvalidRequestError."""
    if not messages:
        raise InvalidRequestError("The chat has no message.")
    return [_checked(index, message) for index, message in enumerate(messages)]


def _checked(index: int, message: Message) -> Message:
    if not isinstance(message, dict):
        raise InvalidRequestError(
            f"Chat message {index} is a {type(message).__name__}, but it must be a dict."
        )
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise InvalidRequestError(
            f"Chat message {index} has role {role!r}. Allowed: {', '.join(ROLES)}."
        )
    if isinstance(content, list):
        parts = [
            p.get("text") if isinstance(p, dict) and p.get("type", "text") == "text" else None
            for p in content
        ]
        if not all(isinstance(part, str) for part in parts):
            raise InvalidRequestError(
                f"Chat message {index} has content that is not text; only text parts are supported."
            )
        content = "".join(str(part) for part in parts)
    given = {key: value for key, value in message.items() if value is not None}
    if calls := given.get("tool_calls"):
        content = "" if content is None else content
        given["tool_calls"] = _checked_calls(index, calls)
    if not isinstance(content, str):
        raise InvalidRequestError(
            f"Chat message {index} has content of type {type(content).__name__}; it must be text."
        )
    return {**given, "content": content}


def _checked_calls(index: int, calls: Any) -> list[dict[str, Any]]:
    """Arguments that are JSON objects as objects: templates write them as the model was taught."""
    checked = []
    for call in calls if isinstance(calls, list) else [calls]:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise InvalidRequestError(
                f"Chat message {index} has tool_calls that are not a list of functions by name."
            )
        checked.append({**call, "function": {**function, "arguments": _arguments(function)}})
    return checked


def _arguments(function: Mapping[str, Any]) -> Any:
    given = function.get("arguments")
    if not isinstance(given, str):
        return {} if given is None else given
    try:
        read = json.loads(given or "{}")
    except (ValueError, RecursionError):
        return given  # a model has said it, and is shown what it said
    return read if isinstance(read, dict) else given


def checked_tools(tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Raises InvalidRequestError for what describes no function."""
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise InvalidRequestError(
                f"Tool {index} is not supported: it must be a function with a name."
            )
    return list(tools)


def checked_variables(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises InvalidRequestError for one that the engine itself sets."""
    for name in variables:
        if name in _RESERVED or not isinstance(name, str):
            raise InvalidRequestError(f"The template variable {name!r} is set by the engine.")
    return variables
