"""The functions that a model may call, and whether it has to: in the words of whichever API → in
those of OpenAI's Chat API.

Sources: as of parameters.py. A tool that runs at the provider (web search, code) is none that
another release could be given: it is passed over. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.model.canonical import parsed_text
from tasks.model.openapi import small_types

_DECLARATIONS = ("functionDeclarations", "function_declarations")
_SCHEMAS = ("parameters", "parametersJsonSchema", "parameters_json_schema", "input_schema",
            "inputSchema")  # fmt: skip
#: words for whether one is called → ours
_MODES = {
    "auto": "auto", "validated": "auto", "none": "none", "required": "required", "any": "required",
}  # fmt: skip

ToolChoice = str | Mapping[str, Any]


def read_tools(value: Any) -> list[dict[str, Any]]:
    """The functions in a list of tools of any API, in the form of OpenAI's Chat API."""
    value = parsed_text(value)
    if isinstance(value, Mapping):  # of one kind of tools, or one tool
        value = next((value[key] for key in _DECLARATIONS if key in value), [value])
    tools: list[dict[str, Any]] = []
    for item in value if isinstance(value, list) else ():
        tool = parsed_text(item)
        if not isinstance(tool, Mapping):
            continue
        if any(key in tool for key in _DECLARATIONS):
            tools += read_tools(tool)
            continue
        inner = next((tool[k] for k in ("function", "toolSpec", "tool_spec")
                      if isinstance(tool.get(k), Mapping)), tool)  # fmt: skip
        if (function := _function(inner)) is not None:
            tools.append({"type": "function", "function": function})
    return tools


def _function(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    """None for a tool that runs at the provider: it has a type, and says nothing of arguments."""
    name = tool.get("name")
    schema = next((tool[key] for key in _SCHEMAS if tool.get(key) is not None), None)
    if not isinstance(name, str) or not name:
        return None
    if schema is None and tool.get("type") not in (None, "function"):
        return None
    schema = parsed_text(schema)
    if isinstance(schema, Mapping) and isinstance(schema.get("json"), Mapping):  # Converse
        schema = schema["json"]
    function: dict[str, Any] = {"name": name}
    if isinstance(tool.get("description"), str):
        function["description"] = tool["description"]
    if isinstance(schema, Mapping):
        function["parameters"] = small_types(schema)
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    return function


def choice_of(found: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> ToolChoice | None:
    """Of parameters by their names in small letters without underscores. None: the model decides,
    as where nothing is said, and where what was said fits none of these tools."""
    for name in ("toolchoice", "functioncall", "functioncallingconfig"):
        if found.get(name) is not None:
            return read_choice(found[name], tools)
    return None


def is_single(found: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no more than one call may be made: OpenAI says so by itself, Anthropic in its choice
    of a tool."""
    choice = parsed_text(found.get("toolchoice"))
    by_choice = isinstance(choice, Mapping) and choice.get("disable_parallel_tool_use") is True
    return bool(tools) and (found.get("paralleltoolcalls") is False or by_choice)


def read_choice(value: Any, tools: Sequence[Mapping[str, Any]]) -> ToolChoice | None:
    """ "none", "required", a function by its name, or several of them (OpenAI's allowed_tools)."""
    offered = [tool["function"]["name"] for tool in tools]
    mode, names = _mode_and_names(parsed_text(value), offered)
    known = [name for name in dict.fromkeys(names) if name in offered]
    if not offered or mode is None or (names and not known):
        return None
    if mode == "none":
        return mode
    is_all = set(known) == set(offered)
    if not known or (is_all and (mode == "auto" or len(known) > 1)):
        return "required" if mode == "required" else None
    if mode == "required" and len(known) == 1:
        return {"type": "function", "function": {"name": known[0]}}
    told = [{"type": "function", "function": {"name": name}} for name in known]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": told}}


def _mode_and_names(value: Any, offered: Sequence[str]) -> tuple[str | None, list[str]]:
    if isinstance(value, str):
        mode = _MODES.get(value.lower())
        return ("required", [value]) if mode is None and value in offered else (mode, [])
    if not isinstance(value, Mapping):
        return None, []
    for key in ("tool", "specific"):  # Converse, TensorZero
        if key in value and "type" not in value:
            name = _name(value[key])
            return ("required", [name]) if name else (None, [])
    if "type" not in value and "mode" not in value:
        if (name := _name(value)) is not None:  # OpenAI's function_call
            return "required", [name]
        return (_MODES.get(str(next(iter(value))).lower()) if len(value) == 1 else None), []
    if value.get("type") in ("function", "tool"):
        name = _name(value)
        return ("required", [name]) if name else (None, [])
    inner = value.get("allowed_tools")
    allowed: Mapping[str, Any] = inner if isinstance(inner, Mapping) else value
    mode = _MODES.get(str(allowed.get("mode", allowed.get("type"))).lower())
    tools = allowed.get("tools") or allowed.get("allowedFunctionNames")
    tools = tools or allowed.get("allowed_function_names")
    names = [_name(one) for one in tools] if isinstance(tools, list) else []
    return mode, [name or "" for name in names]


def _name(value: Any) -> str | None:
    if isinstance(value, Mapping):
        inner = value.get("function")
        value = (inner if isinstance(inner, Mapping) else value).get("name")
    return value if isinstance(value, str) and value else None
