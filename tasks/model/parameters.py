"""What the parameters of a logged call say, in the words of whichever API they were sent to.

Sources: the API references of OpenAI (Chat, Responses), Anthropic (Messages), Google
(generateContent, Vertex AI), AWS (Converse and the bodies of its models), Mistral, DeepSeek and
Ollama, vLLM's and Qwen's further parameters, and the GenAI conventions of OpenTelemetry.

What is said of tools is read in functions.py, of the answer's form in answer_format.py. A value
that no API would take was never in force: it is passed over. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tasks.model.answer_format import format_of
from tasks.model.canonical import parsed_text, writable
from tasks.model.functions import choice_of, is_single, read_tools
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
_TOOLS = ("tools", "functions", "toolsavailable", "additionaltools")
_MAX_DEPTH = 4
_MAX_SHARED_CHARS = 2**16


@dataclass(frozen=True, slots=True)
class _Told:
    """What parameters say, whatever was asked with them. Not to be changed: calls share it.
    `continues`: of the last message, where they say so."""

    served: Served
    continues: Any


def read_served(params: str | None, last: Any, model: str | None) -> Served:
    """Of the JSON text of the parameters. `last`: the last message of the conversation as logged;
    `model`: who was asked."""
    text = params or ""
    told = (_shared if len(text) <= _MAX_SHARED_CHARS else _told)(text)
    continues = _continues(last, told.continues, model)
    return replace(told.served, continues=True) if continues else told.served


def _told(params: str) -> _Told:
    try:
        value = json.loads(params) if params else {}
    except (ValueError, RecursionError):
        value = {}
    found: dict[str, Any] = {}
    for name, item in _flat(writable(value) if isinstance(value, dict) else {}):
        found[name] = item
    tools = tuple(tool for name in _TOOLS for tool in read_tools(found.get(name)))
    served = Served(
        tools=tools,
        template=_template(found),
        sampling=_sampling(found),
        tool_choice=choice_of(found, tools),
        answer_format=format_of(found),
        is_single=is_single(found, tools),
    )
    return _Told(served, found.get("continuefinalmessage"))


#: an application says the same with each of its calls, and its tools take more than their questions
_shared = lru_cache(maxsize=1024)(_told)


def _flat(value: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Names in small letters without underscores → values; what stands outermost comes last."""
    for name, item in value.items():
        held = parsed_text(item) if _small(name) in _HOLDERS else None
        if isinstance(held, Mapping) and depth < _MAX_DEPTH:
            yield from _flat(held, depth + 1)
    for name, item in value.items():
        if item is not None:
            yield _small(name), item


def _small(name: str) -> str:
    return name.replace("_", "").lower()


def _template(found: Mapping[str, Any]) -> dict[str, Any]:
    """chat_template_kwargs as of vLLM and SGLang; enable_thinking also by itself, as of Qwen."""
    given = parsed_text(found.get("chattemplatekwargs"))
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
    value = parsed_text(value)
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
