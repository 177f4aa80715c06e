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

__all__ = [
    "ROLES", "Chat", "Message", "ToolChoice", "checked_messages", "checked_tools",
    "checked_variables", "read_tool_choice",
]  # fmt: skip

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

    tools        functions that the model may call, as OpenAI's API describes them
    variables    further ones of the model's template, such as {"enable_thinking": False}
    continues    the answer goes on with the last message, which is the assistant's
    tool_choice  whether one is called, as OpenAI's API puts it; None: the model decides
    parallel     a call that is forced may be one of several
    """

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    continues: bool = False
    tool_choice: str | Mapping[str, Any] | None = None
    parallel: bool = True

    @property
    def choice(self) -> ToolChoice:
        """Raises InvalidRequestError."""
        return read_tool_choice(self.tool_choice, self.tools)

    @property
    def offered(self) -> list[Mapping[str, Any]]:
        """The tools that the model is told of. Where a call is forced, a grammar keeps it to those
        that may be called; else only what it does not know of is surely not called. Raises
        InvalidRequestError."""
        choice, tools = self.choice, checked_tools(self.tools)
        return tools if choice.is_forced else [one for one in tools if choice.allows(_name(one))]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`mode`: auto, none or required. `names`: of the functions that may be called; empty: all.
    `is_one`: one function was asked for by its name, and is called once."""

    mode: str = "auto"
    names: tuple[str, ...] = ()
    is_one: bool = False

    @property
    def is_forced(self) -> bool:
        return self.mode == "required"

    def allows(self, name: str) -> bool:
        return self.mode != "none" and (not self.names or name in self.names)


def read_tool_choice(value: Any, tools: Sequence[Mapping[str, Any]]) -> ToolChoice:
    """ "auto", "none", "required", a function by its name, or OpenAI's allowed_tools. Raises
    InvalidRequestError for another, and for one that no tool fits."""
    offered = [_name(tool) for tool in checked_tools(tools)]
    choice = _tool_choice(value)
    if choice is None:
        raise InvalidRequestError(
            f"tool_choice is {value!r:.200}, but it must be none, auto, required, "
            '{"type": "function", "function": {"name": …}} or {"type": "allowed_tools", …}.'
        )
    if choice.is_forced and not offered:
        raise InvalidRequestError("tool_choice asks for a call, and there are no tools.")
    missing = next((name for name in choice.names if name not in offered), None)
    if missing is not None:
        raise InvalidRequestError(f"tool_choice names {missing!r:.80}, which is none of the tools.")
    return choice


def _tool_choice(value: Any) -> ToolChoice | None:
    if value is None or (isinstance(value, str) and value in ("auto", "none", "required")):
        return ToolChoice(value or "auto")
    if not isinstance(value, Mapping):
        return None
    if value.get("type") == "function":
        name = _name(value)
        return ToolChoice("required", (name,), is_one=True) if name else None
    allowed = value.get("allowed_tools") if value.get("type") == "allowed_tools" else None
    tools = allowed.get("tools") if isinstance(allowed, Mapping) else None
    if not isinstance(allowed, Mapping) or not isinstance(tools, list) or not tools:
        return None
    mode, names = allowed.get("mode"), tuple(map(_name, tools))
    return ToolChoice(mode, names) if mode in ("auto", "required") and all(names) else None


def _name(tool: Any) -> str:
    """Of a function; empty where there is none."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else ""


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
