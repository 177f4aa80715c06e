"""One span with OpenInference attributes → a call, or something else.

Only spans of kind LLM are calls; chains and agents repeat their tokens. The messages are in
llm.input_messages.N and llm.output_messages.N; where they are missing, in input.value and
output.value. Source: the OpenInference semantic conventions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tasks.logs.formats import otlp_call, spans
from tasks.logs.formats.otlp_values import Attributes, take, take_indexed
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer, finish, says_something
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.messages import join_text, tool_call
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Json, Other, Record

KIND = "openinference.span.kind"
_COUNTS = {
    "input": "llm.token_count.prompt",
    "output": "llm.token_count.completion",
    "total": "llm.token_count.total",
    "cached": "llm.token_count.prompt_details.cache_read",
    "cache_written": "llm.token_count.prompt_details.cache_write",
    "reasoning": "llm.token_count.completion_details.reasoning",
}
_TEXTS = {
    "session_id": ("session.id",),
    "user": ("user.id",),
    "prompt_version": ("llm.prompt_template.version",),
    "prompt_name": ("llm.prompt_template.name", "prompt.id"),
}
_MODELS = ("llm.response.model_name", "llm.model_name", "llm.request.model_name")
_NOT_TAGS = frozenset({KIND, "input.mime_type", "output.mime_type"})


def is_call(attrs: Attributes) -> bool:
    return str(attrs.get(KIND)).upper() == "LLM"


def from_span(span: dict[str, Json], attrs: Attributes, about: Attributes) -> Iterable[Record]:
    """Takes the attributes out of `attrs`; what is left becomes tags."""
    if not is_call(attrs):
        yield Other()
        return
    events = spans.read_events(span.get("events"))
    tags = spans.tags_of(span)
    started, latency = spans.read_times(span, tags)
    params = coerce.mapping(nested(take(attrs, "llm.invocation_parameters")))
    texts: dict[str, Any] = {name: coerce.text(name, take(attrs, *names))
                             for name, names in _TEXTS.items()}  # fmt: skip
    counts: dict[str, Any] = {
        name: usage.known(key, take(attrs, key)) for name, key in _COUNTS.items()
    }
    tokens: dict[str, Any] = usage.Reported(**counts).canonical()
    error = otlp_call.error_of(attrs, events, span.get("status"), tags)
    messages, answer = _said(attrs)
    model = coerce.text("llm.model_name", take(attrs, *_MODELS))
    reason = answer.finish_reason or coerce.text(
        "finish_reason", take(attrs, "llm.finish_reason", "llm.response.finish_reason")
    )
    provider = named(coerce.text("llm.system", take(attrs, "llm.system", "llm.provider")))
    tools = [item.get("tool.json_schema") for item in take_indexed(attrs, "llm.tools")]
    if tools:
        params = {**params, "tools": [nested(tool) for tool in tools]}
    left = {key: value for key, value in attrs.items() if key not in _NOT_TAGS}
    call = Call(
        **texts,
        **tokens,
        request_id=spans.span_id(span),
        started_at=started,
        latency_s=latency,
        release=coerce.text("release", about.get("flywheel.release", about.get("service.version"))),
        provider=named(provider),
        model=model or answer.model or coerce.text("model", params.get("model")),
        operation="chat",
        messages=messages,
        finish_reason=reason,
        params={k: v for k, v in params.items() if k not in ("model", "messages")} or None,
        cost_usd=coerce.number("llm.cost.total", take(attrs, "llm.cost.total")),
        tags={**otlp_call.resource_tags(about), **tags, **left},
    )
    yield finish(call, answer, error=error)


def _said(attrs: Attributes) -> tuple[Json, Answer]:
    """(input messages, answer)."""
    asked = [_message(item) for item in take_indexed(attrs, "llm.input_messages")]
    given = [_message(item) for item in take_indexed(attrs, "llm.output_messages")]
    for prompt in take_indexed(attrs, "llm.prompts"):
        asked.append({"role": "user", "content": prompt.get("prompt.text")})
    for choice in take_indexed(attrs, "llm.choices"):
        given.append({"role": "assistant", "content": choice.get("completion.text")})
    raw_in, raw_out = take(attrs, "input.value"), take(attrs, "output.value")
    answer = read_output(raw_out)
    if given:
        filled = [message for message in given if says_something(message)]
        answer = replace(
            answer,
            message=filled[0] if filled else None,
            other_choices=list(filled[1:]),
            recorded=True,
        )
    return asked or read_input(raw_in), answer


def _message(flat: dict[str, Json]) -> dict[str, Json]:
    """message.role, message.content, message.contents.N.*, message.tool_calls.N.tool_call.*."""
    rest = dict(flat)
    calls = take_indexed(rest, "message.tool_calls")
    contents = take_indexed(rest, "message.contents")
    message: dict[str, Json] = {
        "role": rest.get("message.role") or "assistant",
        "content": rest.get("message.content"),
    }
    if contents:
        message["content"] = join_text([_content(item) for item in contents])
    for key in ("name", "tool_call_id"):
        if rest.get(f"message.{key}") is not None:
            message[key] = rest[f"message.{key}"]
    if calls:
        message["tool_calls"] = [
            tool_call(
                call.get("tool_call.id"),
                call.get("tool_call.function.name"),
                call.get("tool_call.function.arguments"),
            )
            for call in calls
        ]
    return message


def _content(part: dict[str, Json]) -> Json:
    if part.get("message_content.type") == "text":
        return {"type": "text", "text": part.get("message_content.text")}
    return {key.removeprefix("message_content."): value for key, value in part.items()}
