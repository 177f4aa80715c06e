"""Tools, whether one is called, and the form of an answer, in the words of each API. Pure.

Sources: the API references of OpenAI (Chat, Responses), Anthropic (Messages: tool use, structured
outputs) and Google (generateContent: function calling, structured output).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.backends.hosted.plain import untranslated
from tasks.model.answer_format import response_format


@dataclass(frozen=True, slots=True)
class Choice:
    """`mode`: auto, none or required; `names`: of the functions that may be called, empty: all;
    `is_single`: once at most."""

    mode: str = "auto"
    names: tuple[str, ...] = ()
    is_single: bool = False

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | None, *, is_single: bool) -> Choice:
        """As OpenAI's Chat API puts it (tasks/model/functions.py)."""
        if value is None or isinstance(value, str):
            return cls(value or "auto", is_single=is_single)
        if value["type"] == "function":
            return cls("required", (value["function"]["name"],), is_single)
        allowed = value["allowed_tools"]
        names = tuple(one["function"]["name"] for one in allowed["tools"])
        return cls(allowed["mode"], names, is_single)

    @property
    def is_said(self) -> bool:
        """Whether it is other than what goes without saying."""
        return self.mode != "auto" or bool(self.names)

    @property
    def is_one(self) -> bool:
        return self.mode == "required" and len(self.names) == 1


def _functions(tools: Any) -> list[dict[str, Any]]:
    return [dict(tool["function"]) for tool in tools]


def tools_of_chat(tools: Any) -> list[dict[str, Any]]:
    return list(map(dict, tools))


def tools_of_responses(tools: Any) -> list[dict[str, Any]]:
    """Strict unless told otherwise here, and not in Chat."""
    return [{"type": "function", "strict": False, **one} for one in _functions(tools)]


def tools_of_anthropic(tools: Any) -> list[dict[str, Any]]:
    return [
        {**_without(one, "parameters", "strict"),
         "input_schema": one.get("parameters") or {"type": "object"}}
        for one in _functions(tools)
    ]  # fmt: skip


def tools_of_gemini(tools: Any) -> list[dict[str, Any]]:
    declared = []
    for one in _functions(tools):
        schema = one.get("parameters")
        more = {"parameters_json_schema": schema} if schema else {}
        declared.append({**_without(one, "parameters", "strict"), **more})
    return [{"function_declarations": declared}]


def _without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in names}


def choice_of_chat(choice: Choice) -> dict[str, Any]:
    return _of_openai(choice, "allowed_tools", lambda name: {"function": {"name": name}})


def choice_of_responses(choice: Choice) -> dict[str, Any]:
    return _of_openai(choice, "", lambda name: {"name": name})


def choice_of_anthropic(choice: Choice) -> dict[str, Any]:
    if choice.names and not choice.is_one:
        raise untranslated("that only some of the tools may be called")
    if not choice.is_said and not choice.is_single:
        return {}
    told: dict[str, Any] = {"type": {"required": "any"}.get(choice.mode, choice.mode)}
    if choice.is_one:
        told = {"type": "tool", "name": choice.names[0]}
    if choice.is_single and choice.mode != "none":
        told["disable_parallel_tool_use"] = True
    return {"tool_choice": told}


def choice_of_gemini(choice: Choice) -> dict[str, Any]:
    """It has no word for one call alone."""
    if not choice.is_said:
        return {}
    if choice.names and choice.mode != "required":
        raise untranslated("that only some of the tools may be called")
    told: dict[str, Any] = {"mode": {"required": "ANY"}.get(choice.mode, choice.mode.upper())}
    if choice.names:
        told["allowed_function_names"] = list(choice.names)
    return {"tool_config": {"function_calling_config": told}}


def format_of_chat(answer_format: Mapping[str, Any]) -> dict[str, Any]:
    return {"response_format": response_format(answer_format)}


def format_of_responses(answer_format: Mapping[str, Any]) -> dict[str, Any]:
    told = response_format(answer_format)
    return {"text": {"format": {"type": told["type"], **told.get("json_schema", {})}}}


def format_of_anthropic(answer_format: Mapping[str, Any]) -> dict[str, Any]:
    """It has schemas alone: JSON without one is asked for by the messages, as OpenAI wants it."""
    if "schema" not in answer_format:
        return {}
    schema = json.loads(answer_format["schema"])
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def format_of_gemini(answer_format: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"response_mime_type": "application/json"}
    if "schema" in answer_format:
        told["response_json_schema"] = json.loads(answer_format["schema"])
    return told


def _of_openai(choice: Choice, under: str, named: Callable[[str], Any]) -> dict[str, Any]:
    """Both APIs say the same, one of them a level deeper."""
    told: dict[str, Any] = {"parallel_tool_calls": False} if choice.is_single else {}
    if not choice.is_said:
        return told
    if not choice.names:
        return {"tool_choice": choice.mode, **told}
    tools = [{"type": "function", **named(name)} for name in choice.names]
    allowed: dict[str, Any] = {"mode": choice.mode, "tools": tools}
    several = {"type": "allowed_tools", **({under: allowed} if under else allowed)}
    return {"tool_choice": tools[0] if choice.is_one else several, **told}
