"""What a request body may hold, and how errors are told: the OpenAI API's names and shapes.

A body becomes an Ask. A field that would change the answer and that nobody here understands is
refused by name; neutral.py says which change nothing. Source: OpenAI's API reference, and vLLM's
names for what that lacks (top_k, min_p, …: any field of SamplingParams).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import EngineError, FaultKind, InvalidRequestError
from engine.loading.chat import Chat, checked_tools, checked_variables, read_tool_choice
from engine.requests.request import Prompt, SamplingParams
from engine.server.neutral import means_nothing

__all__ = ["MAX_TOP_LOGPROBS", "ApiError", "Ask", "read_chat", "read_completions"]

MAX_TOP_LOGPROBS = 20
MAX_CHOICES = 128
NO_LIMIT = 1 << 30  # tokens; the model's context is the limit
#: faults a client can mend: by another request, or a shorter one
OPENAI_CODES = {FaultKind.TOO_LONG: "context_length_exceeded"}
CLIENTS = (FaultKind.REQUEST, FaultKind.TOO_LONG, FaultKind.CAPACITY)


class ApiError(Exception):
    """Becomes {"error": {message, type, param, code}} with this status."""

    def __init__(
        self,
        message: str,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = {
            "error": {
                "message": message,
                "type": "rate_limit_error" if status == 429 else kind,
                "param": param,
                "code": code,
            }
        }

    @classmethod
    def of(cls, error: EngineError, param: str | None = None) -> ApiError:
        """A request's fault; its kind is the code, but where clients look for OpenAI's own."""
        code = OPENAI_CODES.get(error.kind, error.kind)
        return cls(str(error), 400 if error.kind in CLIENTS else 500, param, code)


@dataclass(frozen=True, slots=True)
class Ask:
    """A body, understood. max_tokens 0 means: only look at the prompt. num_top None means: no
    log-probabilities.
    """

    is_chat: bool
    model: str | None
    prompts: tuple[Prompt, ...]
    params: SamplingParams
    max_tokens: int
    num_choices: int
    num_top: int | None
    echo: bool
    stream: bool
    include_usage: bool
    #: functions that may be called, with the schema of their parameters
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: one function was asked for by its name
    is_named: bool = False

    @property
    def is_guided(self) -> bool:
        """Whether a grammar is made for it."""
        is_forced = any(isinstance(one, Chat) and one.choice.is_forced for one in self.prompts)
        return is_forced or self.params.json_schema is not None


class _StreamOptions(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    include_usage: bool | None = None


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    model: str | None = None
    max_tokens: int | None = Field(None, ge=0)
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


class _CompletionBody(_Body):
    prompt: Any = None
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)


class _ChatBody(_Body):
    messages: list[dict[str, Any]] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None


Body = TypeVar("Body", bound=_Body)


def read_completions(raw: bytes) -> Ask:
    """Raises ApiError."""
    body = _parsed(_CompletionBody, raw)
    max_tokens = 16 if body.max_tokens is None else body.max_tokens
    if max_tokens == 0 and not body.echo:
        raise ApiError(
            "max_tokens is 0; that needs echo, or there is no answer.", 400, "max_tokens"
        )
    if body.stream and body.echo and body.logprobs is not None:
        raise ApiError("echo with logprobs cannot be streamed: leave out stream.", 400, "stream")
    return _ask(body, _prompts(body.prompt), max_tokens, body.logprobs, echo=bool(body.echo))


def read_chat(raw: bytes) -> Ask:
    """Raises ApiError."""
    body = _parsed(_ChatBody, raw)
    if body.top_logprobs is not None and not body.logprobs:
        raise ApiError("top_logprobs needs logprobs to be true.", 400, "top_logprobs")
    max_tokens = body.max_completion_tokens or body.max_tokens or NO_LIMIT  # neither can be 0
    num_top = (body.top_logprobs or 0) if body.logprobs else None
    schema = _schema(body.response_format or {})
    chat = _chat(body)
    ask = _ask(body, (chat,), max_tokens, num_top, json_schema=schema)
    choice = chat.choice
    functions = [one["function"] for one in chat.tools if choice.allows(one["function"]["name"])]
    schemas = {one["name"]: one.get("parameters") or {} for one in functions}
    return replace(ask, tools=schemas, is_named=choice.is_one)


def _chat(body: _ChatBody) -> Chat:
    continues = bool(body.continue_final_message)
    if body.add_generation_prompt not in (None, not continues):
        message = "add_generation_prompt and continue_final_message are either true or false."
        raise ApiError(message, 400, "add_generation_prompt")
    with _of_field("tools"):
        tools = checked_tools(body.tools or ())
    with _of_field("tool_choice"):
        read_tool_choice(body.tool_choice, tools)
    with _of_field("chat_template_kwargs"):
        variables = checked_variables(body.chat_template_kwargs or {})
    parallel = body.parallel_tool_calls is not False
    return Chat(body.messages, tools, variables, continues, body.tool_choice, parallel)


@contextmanager
def _of_field(name: str) -> Iterator[None]:
    try:
        yield
    except InvalidRequestError as error:
        raise ApiError(f"{name}: {error}", 400, name) from None


def _ask(
    body: _Body,
    prompts: tuple[Prompt, ...],
    max_tokens: int,
    num_top: int | None,
    echo: bool = False,
    json_schema: dict[str, Any] | None = None,
) -> Ask:
    """What both bodies say. OpenAI's defaults: temperature 1, and a seed of chance where none is
    given.
    """
    try:
        params = SamplingParams(
            max_tokens=max(1, max_tokens),
            temperature=1.0 if body.temperature is None else body.temperature,
            top_p=1.0 if body.top_p is None else body.top_p,
            seed=secrets.randbits(63) if body.seed is None else body.seed % 2**64,
            stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
            logprobs=int(num_top is not None),
            json_schema=json_schema,
            **_extras(body),
        )
    except InvalidRequestError as error:
        message = str(error).removeprefix("SamplingParams.")
        raise ApiError(message, 400, message.partition(" ")[0]) from None
    if body.stream_options is not None:
        if not body.stream:
            raise ApiError("stream_options needs stream to be true.", 400, "stream_options")
        options = body.stream_options.model_extra or {}
        for name in options:
            if not means_nothing(name, options, is_chat=False):
                _refuse(f"stream_options.{name}", options[name], "stream_options")
    return Ask(
        is_chat=isinstance(body, _ChatBody),
        model=body.model,
        prompts=prompts,
        params=params,
        max_tokens=max_tokens,
        num_choices=body.n or 1,
        num_top=num_top,
        echo=echo,
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
    )


def _parsed(kind: type[Body], raw: bytes) -> Body:
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise ApiError(f"The body is not JSON: {first['msg']}") from None
        name = str(first["loc"][0]) if first["loc"] else None
        place = ".".join(str(part) for part in first["loc"])
        raise ApiError(f"{place}: {first['msg']}", 400, name) from None


def _prompts(value: Any) -> tuple[Prompt, ...]:
    """A text, token ids, or a list of either."""

    def is_one(item: Any) -> bool:
        return isinstance(item, str) or (isinstance(item, list) and _all_ints(item))

    if isinstance(value, list) and value and all(is_one(item) for item in value):
        return tuple(value)
    if value and is_one(value):
        return (value,)
    raise ApiError(
        "prompt must be a text, a list of token ids, or a list of these, and not empty.",
        400,
        "prompt",
    )


def _all_ints(items: list[Any]) -> bool:
    return all(isinstance(item, int) and not isinstance(item, bool) for item in items)


def _extras(body: _Body) -> dict[str, Any]:
    """Fields OpenAI does not name: SamplingParams' own are taken, the rest must mean nothing."""
    known = {field.name for field in fields(SamplingParams)} - {"logprobs", "json_schema"}
    extra = body.model_extra or {}
    taken = {}
    for name, value in extra.items():
        if name in known and value is not None:
            taken[name] = tuple(value) if isinstance(value, list) else value
        elif not means_nothing(name, {**extra, "n": body.n}, isinstance(body, _ChatBody)):
            _refuse(name, value, name)
    if taken.get("top_k") == -1:  # vLLM's word for all
        taken["top_k"] = 0
    return taken


def _refuse(what: str, value: Any, param: str) -> None:
    raise ApiError(f"{what} = {value!r:.80} is not supported here.", 400, param)


def _schema(response_format: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = response_format.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind == "json_schema":
        described = response_format.get("json_schema")
        if isinstance(described, dict) and isinstance(described.get("schema"), dict):
            return dict(described["schema"])
        raise ApiError(
            "response_format.json_schema.schema must be an object.", 400, "response_format"
        )
    raise ApiError(f"response_format of type {kind!r} is not supported.", 400, "response_format")
