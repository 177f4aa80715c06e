"""How each API names the parameters of sampling, and which of them it has. Pure: imports no client
library, so that `flywheel check` is quick.

Sources: the API references of OpenAI (Chat, Completions, Responses), Anthropic (Messages) and
Google (generateContent). What only other servers of OpenAI's API have (vLLM, our own) is named as
there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from engine import SamplingParams
from tasks.backends.base import Ask
from tasks.errors import UsageError
from tasks.settings import SAMPLING_NAMES, SamplingSettings

_SchemaOf = Callable[[Any], dict[str, Any]]
_ALWAYS = ("max_tokens", "temperature")


@dataclass(frozen=True, slots=True)
class Wire:
    """One endpoint of one API. `names`: ours → the API's; `schema`: the parameters that make an
    answer follow a JSON schema; `tools`: those of an ask as the API describes them. `package` is
    the client library, installed by `extra`."""

    api: str
    endpoint: str
    base_url: str
    package: str
    extra: str
    names: Mapping[str, str]
    schema: _SchemaOf | None = None
    tools: Callable[[Any], Any] | None = None
    always: Mapping[str, Any] = field(default_factory=dict)

    def require(self, release: str, sampling: SamplingSettings) -> None:
        """Raises UsageError where a parameter is set that the API does not have, or the client
        library is not installed."""
        for name in _set(sampling):
            is_known = self.schema is not None if name == "json_schema" else name in self.names
            if not is_known:
                raise UsageError(
                    f"sampling.{name} of release {release!r} has no name in this API",
                    received=f"{self.api} {self.endpoint}",
                    allowed=", ".join([*self.names, *(["json_schema"] if self.schema else [])]),
                    next=f"leave it out, or set releases.{release}.body, as the API names it",
                )
        if not is_installed(self.package):
            raise UsageError(
                f"release {release!r} needs the package {self.package}, which is not installed",
                next=f"pip install 'llm-flywheel[{self.extra}]'",
            )

    def parameters(
        self, ask: Ask, base_url: str, body: Mapping[str, Any], omit: Collection[str]
    ) -> dict[str, Any]:
        """Of one request, without model and messages. What is not set is not sent, but for
        max_tokens, temperature and, where the API has one, the seed. Only other servers of OpenAI's
        Chat API have a template, and go on with a message when told to."""
        params = ask.sampling
        values: dict[str, Any] = {"seed": params.seed}
        for name in (*_ALWAYS, *_set(params)):
            value = getattr(params, name)
            values[name] = list(value) if isinstance(value, tuple) else value
        sent = {self.names[name]: value for name, value in values.items() if name in self.names}
        if self.endpoint == "chat" and base_url == self.base_url and "max_tokens" in sent:
            sent["max_completion_tokens"] = sent.pop("max_tokens")  # reasoning models take no other
        if params.json_schema and self.schema is not None:
            sent |= self.schema(_json(params.json_schema))
        if ask.tools and self.tools is not None:
            sent["tools"] = self.tools(ask.tools)
        if self.endpoint == "chat" and self.api == "openai" and base_url != self.base_url:
            if ask.template:
                sent["chat_template_kwargs"] = dict(ask.template)
            if ask.continues:
                sent |= {"continue_final_message": True, "add_generation_prompt": False}
        return {
            key: value for key, value in {**self.always, **sent, **body}.items() if key not in omit
        }


def _set(sampling: SamplingSettings | SamplingParams) -> list[str]:
    """Names of what is not at its default, but for those that are always sent."""
    fields = SamplingSettings.model_fields
    later = (name for name in fields if name in SAMPLING_NAMES and name not in _ALWAYS)
    return [name for name in later if getattr(sampling, name) not in (fields[name].default, None)]


def _json(value: str | Mapping[str, Any]) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def is_installed(package: str) -> bool:
    """Whether a package, or one inside another, can be imported; it is not."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the one around it is not there
        return False


def _of_chat(schema: Any) -> dict[str, Any]:
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _of_responses(schema: Any) -> dict[str, Any]:
    named = {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}
    return {"text": {"format": named}}


def _of_gemini(schema: Any) -> dict[str, Any]:
    return {"response_mime_type": "application/json", "response_json_schema": schema}


def _functions(tools: Any) -> list[dict[str, Any]]:
    return [dict(tool["function"]) for tool in tools]


def _tools_of_chat(tools: Any) -> list[dict[str, Any]]:
    return list(map(dict, tools))


def _tools_of_responses(tools: Any) -> list[dict[str, Any]]:
    """Strict unless told otherwise here, and not in Chat."""
    return [{"type": "function", "strict": False, **one} for one in _functions(tools)]


def _tools_of_anthropic(tools: Any) -> list[dict[str, Any]]:
    return [
        {**_without(one, "parameters", "strict"),
         "input_schema": one.get("parameters") or {"type": "object"}}
        for one in _functions(tools)
    ]  # fmt: skip


def _tools_of_gemini(tools: Any) -> list[dict[str, Any]]:
    declared = []
    for one in _functions(tools):
        schema = one.get("parameters")
        more = {"parameters_json_schema": schema} if schema else {}
        declared.append({**_without(one, "parameters", "strict"), **more})
    return [{"function_declarations": declared}]


def _without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in names}


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_OPENAI = "https://api.openai.com/v1"
_OF_OPENAI = _same(
    "max_tokens", "temperature", "top_p", "stop", "seed",
    "top_k", "min_p", "repetition_penalty", "stop_token_ids", "min_tokens",
)  # fmt: skip
_USAGE = {"stream_options": {"include_usage": True}}
_ALL = (
    Wire("openai", "chat", _OPENAI, "openai", "openai", _OF_OPENAI, _of_chat, _tools_of_chat,
         _USAGE),
    Wire("openai", "completions", _OPENAI, "openai", "openai", _OF_OPENAI, always=_USAGE),
    Wire(
        "openai", "responses", _OPENAI, "openai", "openai",
        {"max_tokens": "max_output_tokens", **_same("temperature", "top_p")}, _of_responses,
        _tools_of_responses,
    ),
    Wire(
        "anthropic", "chat", "https://api.anthropic.com", "anthropic", "anthropic",
        {**_same("max_tokens", "temperature", "top_p", "top_k"), "stop": "stop_sequences"},
        tools=_tools_of_anthropic,
    ),
    Wire(
        "gemini", "chat", "https://generativelanguage.googleapis.com", "google.genai", "gemini",
        {"max_tokens": "max_output_tokens", **_same("temperature", "top_p", "top_k", "seed"),
         "stop": "stop_sequences"}, _of_gemini, _tools_of_gemini,
    ),
)  # fmt: skip
#: (api, endpoint) → how it is spoken to
WIRES: Mapping[tuple[str, str], Wire] = MappingProxyType(
    {(wire.api, wire.endpoint): wire for wire in _ALL}
)
