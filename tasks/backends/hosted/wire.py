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
from tasks.backends.hosted import says
from tasks.backends.hosted.says import Choice
from tasks.errors import UsageError
from tasks.settings import SAMPLING_NAMES, SamplingSettings

#: of a form of an answer, as tasks/model/answer_format.py has it
_FormatOf = Callable[[Mapping[str, Any]], dict[str, Any]]
_ALWAYS = ("max_tokens", "temperature")
#: parameters that say more than the form of an answer: what the body says of them is beside it
_HOLD_MORE = ("text", "output_config")
#: of a schema that has none
_NAME = "answer"


@dataclass(frozen=True, slots=True)
class Wire:
    """One endpoint of one API. `names`: ours → the API's; `form`: the parameters that give an
    answer its form; `tools`: those of an ask as the API describes them, and `tool_choice` the
    parameters that say whether one is called. `package` is the client library, installed by
    `extra`."""

    api: str
    endpoint: str
    base_url: str
    package: str
    extra: str
    names: Mapping[str, str]
    form: _FormatOf | None = None
    tools: Callable[[Any], Any] | None = None
    tool_choice: Callable[[Choice], dict[str, Any]] | None = None
    always: Mapping[str, Any] = field(default_factory=dict)

    def require(self, release: str, sampling: SamplingSettings) -> None:
        """Raises UsageError where a parameter is set that the API does not have, or the client
        library is not installed."""
        for name in _set(sampling):
            is_known = self.form is not None if name == "json_schema" else name in self.names
            if not is_known:
                raise UsageError(
                    f"sampling.{name} of release {release!r} has no name in this API",
                    received=f"{self.api} {self.endpoint}",
                    allowed=", ".join([*self.names, *(["json_schema"] if self.form else [])]),
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
        answer_format = ask.answer_format
        if params.json_schema:
            schema = _text_of(params.json_schema)
            answer_format = {"type": "json_schema", "name": _NAME, "schema": schema, "strict": True}
        if answer_format is not None and self.form is not None:
            sent |= self.form(answer_format)
        if ask.tools and self.tools is not None:
            sent["tools"] = self.tools(ask.tools)
            if self.tool_choice is not None:
                sent |= self.tool_choice(Choice.of(ask.tool_choice, is_single=ask.is_single))
        if self.endpoint == "chat" and self.api == "openai" and base_url != self.base_url:
            if ask.template:
                sent["chat_template_kwargs"] = dict(ask.template)
            if ask.continues:
                sent |= {"continue_final_message": True, "add_generation_prompt": False}
        of_body = {
            name: {**sent[name], **value}
            if name in _HOLD_MORE and name in sent and isinstance(value, Mapping)
            else value
            for name, value in body.items()
        }
        told = {**self.always, **sent, **of_body}
        return {key: value for key, value in told.items() if key not in omit}


def _set(sampling: SamplingSettings | SamplingParams) -> list[str]:
    """Names of what is not at its default, but for those that are always sent."""
    fields = SamplingSettings.model_fields
    later = (name for name in fields if name in SAMPLING_NAMES and name not in _ALWAYS)
    return [name for name in later if getattr(sampling, name) not in (fields[name].default, None)]


def _text_of(schema: str | Mapping[str, Any]) -> str:
    return schema if isinstance(schema, str) else json.dumps(schema)


def is_installed(package: str) -> bool:
    """Whether a package, or one inside another, can be imported; it is not."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the one around it is not there
        return False


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_OPENAI = "https://api.openai.com/v1"
_OF_OPENAI = _same(
    "max_tokens", "temperature", "top_p", "stop", "seed",
    "top_k", "min_p", "repetition_penalty", "stop_token_ids", "min_tokens",
)  # fmt: skip
_USAGE = {"stream_options": {"include_usage": True}}
_ALL = (
    Wire("openai", "chat", _OPENAI, "openai", "openai", _OF_OPENAI, says.format_of_chat,
         says.tools_of_chat, says.choice_of_chat, _USAGE),
    Wire("openai", "completions", _OPENAI, "openai", "openai", _OF_OPENAI, always=_USAGE),
    Wire(
        "openai", "responses", _OPENAI, "openai", "openai",
        {"max_tokens": "max_output_tokens", **_same("temperature", "top_p")},
        says.format_of_responses, says.tools_of_responses, says.choice_of_responses,
    ),
    Wire(
        "anthropic", "chat", "https://api.anthropic.com", "anthropic", "anthropic",
        {**_same("max_tokens", "temperature", "top_p", "top_k"), "stop": "stop_sequences"},
        says.format_of_anthropic, says.tools_of_anthropic, says.choice_of_anthropic,
    ),
    Wire(
        "gemini", "chat", "https://generativelanguage.googleapis.com", "google.genai", "gemini",
        {"max_tokens": "max_output_tokens", **_same("temperature", "top_p", "top_k", "seed"),
         "stop": "stop_sequences"},
        says.format_of_gemini, says.tools_of_gemini, says.choice_of_gemini,
    ),
)  # fmt: skip
#: (api, endpoint) → how it is spoken to
WIRES: Mapping[tuple[str, str], Wire] = MappingProxyType(
    {(wire.api, wire.endpoint): wire for wire in _ALL}
)
