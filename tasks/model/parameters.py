"""What the parameters of a logged call say, in the words of whichever API they were sent to.

Sources: the API references of OpenAI (Chat, Responses), Anthropic (Messages), Google
(generateContent, Vertex AI), AWS (Converse and the bodies of its models), Mistral, DeepSeek and
Ollama, vLLM's and Qwen's further parameters, and the GenAI conventions of OpenTelemetry.

A tool that runs at the provider (web search, code) is none that another release could be given, and
a value that no API would take was never in force: both are passed over. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tasks.model.canonical import writable
from tasks.model.served import Served

#: objects that hold parameters, in small letters without underscores; what is beside one goes first
_HOLDERS = frozenset({
    "generationconfig", "inferenceconfig", "inferenceparams", "chatcompletion", "options",
    "parameters", "extrabody", "optionalparams", "config", "textgenerationconfig",
    "additionalmodelrequestfields", "toolparams", "toolconfig",
})  # fmt: skip
_NAMES = {
    "temperature": "temperature",
    "topp": "top_p", "p": "top_p",
    "topk": "top_k", "k": "top_k",
    "minp": "min_p",
    "stop": "stop", "stopsequences": "stop",
    "repetitionpenalty": "repetition_penalty", "repeatpenalty": "repetition_penalty",
    **dict.fromkeys(
        ("maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxnewtokens", "numpredict",
         "maxtokenstosample", "maxtokencount", "maxgenlen"), "max_tokens"),
}  # fmt: skip
#: name → least and most
_RANGES = {
    "temperature": (0.0, 100.0), "top_p": (0.0, 1.0), "min_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 100.0), "top_k": (0, 2**31), "max_tokens": (1, 2**31),
}  # fmt: skip
_WHOLE = ("top_k", "max_tokens")
_TOOLS = ("tools", "functions", "tools_available", "additional_tools")
_DECLARATIONS = ("functionDeclarations", "function_declarations")
_SCHEMAS = ("parameters", "parametersJsonSchema", "parameters_json_schema", "input_schema",
            "inputSchema")  # fmt: skip
_MAX_DEPTH = 4
_MAX_SHARED_CHARS = 2**16


@dataclass(frozen=True, slots=True)
class _Told:
    """What parameters say, whatever was asked with them. Not to be changed: calls share it."""

    tools: tuple[dict[str, Any], ...]
    template: Mapping[str, Any]
    sampling: Mapping[str, Any]
    continues: Any


def read_served(params: str | None, last: Any, model: str | None) -> Served:
    """Of the JSON text of the parameters. `last`: the last message of the conversation as logged;
    `model`: who was asked."""
    text = params or ""
    told = (_shared if len(text) <= _MAX_SHARED_CHARS else _told)(text)
    return Served(
        tools=told.tools,
        template=told.template,
        continues=_continues(last, told.continues, model),
        sampling=told.sampling,
    )


def _told(params: str) -> _Told:
    try:
        value = json.loads(params) if params else {}
    except (ValueError, RecursionError):
        value = {}
    found: dict[str, Any] = {}
    for name, item in _flat(writable(value) if isinstance(value, dict) else {}):
        found[name] = item
    return _Told(
        tools=tuple(tool for name in _TOOLS for tool in read_tools(found.get(_small(name)))),
        template=_template(found),
        sampling=_sampling(found),
        continues=found.get("continuefinalmessage"),
    )


#: an application says the same with each of its calls, and its tools take more than their questions
_shared = lru_cache(maxsize=1024)(_told)


def read_tools(value: Any) -> list[dict[str, Any]]:
    """The functions in a list of tools of any API, in the form of OpenAI's Chat API."""
    value = _parsed(value)
    if isinstance(value, Mapping):  # of one kind of tools, or one tool
        value = next((value[key] for key in _DECLARATIONS if key in value), [value])
    tools: list[dict[str, Any]] = []
    for item in value if isinstance(value, list) else ():
        tool = _parsed(item)
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
    schema = _parsed(schema)
    if isinstance(schema, Mapping) and isinstance(schema.get("json"), Mapping):  # Converse
        schema = schema["json"]
    function: dict[str, Any] = {"name": name}
    if isinstance(tool.get("description"), str):
        function["description"] = tool["description"]
    if isinstance(schema, Mapping):
        function["parameters"] = _small_types(schema)
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    return function


def _small_types(schema: Any) -> Any:
    """Gemini writes the types of JSON Schema in capitals."""
    if isinstance(schema, Mapping):
        return {
            key: item.lower() if key == "type" and isinstance(item, str) else _small_types(item)
            for key, item in schema.items()
        }
    return [_small_types(item) for item in schema] if isinstance(schema, list) else schema


def _flat(value: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Names in small letters without underscores → values; what stands outermost comes last."""
    for name, item in value.items():
        held = _parsed(item) if _small(name) in _HOLDERS else None
        if isinstance(held, Mapping) and depth < _MAX_DEPTH:
            yield from _flat(held, depth + 1)
    for name, item in value.items():
        if item is not None:
            yield _small(name), item


def _small(name: str) -> str:
    return name.replace("_", "").lower()


def _parsed(value: Any) -> Any:
    """Traces keep objects as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return writable(json.loads(value))
        except (ValueError, RecursionError):
            return value
    return value


def _template(found: Mapping[str, Any]) -> dict[str, Any]:
    """chat_template_kwargs as of vLLM and SGLang; enable_thinking also by itself, as of Qwen."""
    given = _parsed(found.get("chattemplatekwargs"))
    template = dict(given) if isinstance(given, Mapping) else {}
    thinking = found.get("enablethinking")
    if isinstance(thinking, bool):
        template.setdefault("enable_thinking", thinking)
    return template


def _continues(last: Any, said: Any, model: str | None) -> bool:
    """Whether the answer is the rest of the last message: vLLM says so beside the messages, Mistral
    and DeepSeek in the message, and at Anthropic it always is."""
    if not isinstance(last, Mapping) or last.get("role") != "assistant" or last.get("tool_calls"):
        return False
    if isinstance(said, bool):
        return said
    flags = (last.get("prefix"), last.get("partial"))
    return True in flags or "claude" in (model or "").lower()


def _sampling(found: Mapping[str, Any]) -> dict[str, Any]:
    sampling: dict[str, Any] = {}
    for name, item in found.items():
        ours = _NAMES.get(name)
        value = None if ours is None else _stop(item) if ours == "stop" else _number(ours, item)
        if ours is not None and value is not None:
            sampling[ours] = value
    return sampling


def _stop(value: Any) -> list[str] | None:
    value = _parsed(value)
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [text for text in texts if isinstance(text, str) and text] or None


def _number(name: str, value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    least, most = _RANGES[name]
    if not math.isfinite(number) or not least <= number <= most or (name == "top_p" and not number):
        return None
    return int(number) if name in _WHOLE else number
