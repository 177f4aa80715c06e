"""One OTLP span or log record → a call, feedback, or something else.

Attribute names of the GenAI conventions: today's, those before 1.37 (gen_ai.system,
prompt_tokens), and the indexed ones of OpenLLMetry (gen_ai.prompt.0.content). What no field
takes up becomes a tag. The messages are otlp_messages.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from tasks.logs.formats import otlp_messages
from tasks.logs.formats.otlp_values import (
    Attributes,
    any_value,
    attributes,
    by_name,
    take_fields,
)
from tasks.logs.formats.spans import Event, read_events, read_times, span_id, time_or_none
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Call, Feedback, Json, Other, Record, UnreadableError

_DETAILS = "gen_ai.client.inference.operation.details"
_EVALUATION = "gen_ai.evaluation.result"
_CALL_OPERATIONS = frozenset(
    {"chat", "completion", "text_completion", "generate_content", "embeddings", "responses"}
)
_OTHER_OPERATIONS = frozenset({
    "execute_tool", "tool", "invoke_agent", "create_agent", "agent", "invoke_workflow", "workflow",
    "retrieval", "task", "prompt", "chain",
})  # fmt: skip
_SIGNS_OF_A_CALL = (
    "gen_ai.system", "gen_ai.provider.name", "gen_ai.input.messages", "gen_ai.output.messages",
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens", "gen_ai.prompt.0.content", "gen_ai.completion.0.content",
)  # fmt: skip
_PARAMS = {
    ours: (f"gen_ai.request.{theirs}",) for ours, theirs in {
        "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "seed": "seed",
        "max_tokens": "max_tokens", "stop": "stop_sequences", "n": "choice.count",
        "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty",
        "stream": "stream", "encoding_formats": "encoding_formats",
    }.items()
}  # fmt: skip
_PARAM_NAMES = by_name(_PARAMS)
_INTEGERS = {
    "input_tokens": (
        "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
    ),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
    ),
}  # fmt: skip
_TEXTS = {
    "provider": ("gen_ai.provider.name", "gen_ai.system", "gen_ai.request.provider"),
    "release": ("flywheel.release",),
    "prompt_name": ("flywheel.prompt.name", "gen_ai.prompt.name"),
    "prompt_version": ("flywheel.prompt.version", "gen_ai.prompt.version"),
    "session_id": ("gen_ai.conversation.id", "session.id", "gen_ai.session.id"),
    "user": ("enduser.id", "user.id", "enduser.pseudo.id"),
    "operation": ("gen_ai.operation.name", "llm.request.type"),
}
_NUMBERS = {
    "ttft_s": ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
    "cost_usd": ("gen_ai.usage.cost",),
}
_HTTP_STATUS = {"http_status": ("http.response.status_code", "http.status_code")}
_READERS: dict[str, Callable[[str, Json], Json]] = {
    **dict.fromkeys(_TEXTS, coerce.text),
    **dict.fromkeys(_INTEGERS, coerce.integer),
    **dict.fromkeys(_NUMBERS, coerce.number),
    **dict.fromkeys(_HTTP_STATUS, coerce.small_integer),
}
_NAMES = by_name({**_TEXTS, **_INTEGERS, **_NUMBERS, **_HTTP_STATUS})


def from_span(span: dict[str, Json], attrs: Attributes, about: Attributes) -> Iterable[Record]:
    """Takes the attributes out of `attrs`; what is left becomes tags."""
    events = read_events(span.get("events"))
    if not is_call(attrs):
        yield Other()
        # the verdict on an agent's answer is feedback even though the span is no call
        yield from _feedback(events, span_id(span))
        return
    tags: dict[str, Json] = {}
    for key, name in (("parentSpanId", "parent_span_id"), ("name", "span_name")):
        if span.get(key):
            tags[name] = span[key]
    status = span.get("status")
    times = read_times(span, tags)
    yield _call(attrs, about, events, span_id(span), times, status, tags)


def from_log(log: dict[str, Json], about: Attributes) -> Iterable[Record]:
    """The event that describes a call whole is one; an evaluation result is feedback."""
    attrs = attributes(log.get("attributes"))
    name = event_name(log, attrs)
    call_id = span_id(log)
    if name == _EVALUATION:
        yield _evaluation(attrs, call_id, time_or_none(log.get("timeUnixNano")))
    elif name == _DETAILS:
        body = any_value(log["body"]) if isinstance(log.get("body"), dict) else None
        if isinstance(body, dict):
            attrs = {**body, **attrs}
        tags: dict[str, Json] = {}
        times = read_times({"startTimeUnixNano": log.get("timeUnixNano")}, tags)
        yield _call(attrs, about, [], call_id, times, None, tags)
    else:
        yield Other()


def event_name(log: dict[str, Json], attrs: Attributes) -> Json:
    return log.get("eventName") or log.get("event_name") or attrs.pop("event.name", None)


def message_event(log: dict[str, Json]) -> tuple[str, Attributes] | None:
    """A log record that is one message of a span, as conventions before 1.37 had it."""
    attrs = attributes(log.get("attributes"))
    name = event_name(log, attrs)
    if span_id(log) is None or not (name == "gen_ai.choice" or name in otlp_messages.ROLE_EVENTS):
        return None
    body = any_value(log["body"]) if isinstance(log.get("body"), dict) else None
    return str(name), {**attrs, **coerce.mapping(body)}


def from_messages(
    logs: list[dict[str, Json]], events: list[tuple[str, Attributes]], about: Attributes
) -> Iterable[Record]:
    """The call whose messages the log records are, in order; the span has its counts."""
    named = ("gen_ai.system", "gen_ai.provider.name")
    attrs = {key: said[key] for _, said in events for key in named if key in said}
    plain = [(name, {k: v for k, v in said.items() if k not in named}, None)
             for name, said in events]  # fmt: skip
    tags: dict[str, Json] = {}
    times = read_times({"startTimeUnixNano": logs[0].get("timeUnixNano")}, tags)
    yield _call(attrs, about, [*plain], span_id(logs[0]), times, None, tags)


def is_call(attrs: Attributes) -> bool:
    """A span of one model call; parents that repeat their children's tokens are none."""
    if attrs.get("traceloop.span.kind") in ("workflow", "task", "agent", "tool"):
        return False
    operation = attrs.get("gen_ai.operation.name") or attrs.get("llm.request.type")
    if isinstance(operation, str) and operation.lower() in _CALL_OPERATIONS:
        return True
    if isinstance(operation, str) and operation.lower() in _OTHER_OPERATIONS:
        return False
    named = "gen_ai.request.model" in attrs or "gen_ai.response.model" in attrs
    return named and any(sign in attrs for sign in _SIGNS_OF_A_CALL)


def _call(
    attrs: Attributes,
    about: Attributes,
    events: list[Event],
    call_id: str | None,
    times: tuple[datetime | None, float | None],
    status: Json,
    tags: dict[str, Json],
) -> Call:
    feedback = tuple(_feedback(events, None)) if events else ()
    said = otlp_messages.own_events(attrs)
    if events:
        said = [*((name, about) for name, about, _ in events), *said]
    messages = otlp_messages.take_input(attrs, said)
    answer = otlp_messages.take_answer(attrs, said)
    known = otlp_messages.KNOWN_EVENTS
    if foreign := [{"name": name, **about} for name, about in said if name not in known]:
        tags["events"] = foreign
    values: dict[str, Any] = {
        name: _READERS[name](name, value) for name, value in take_fields(attrs, _NAMES).items()
    }
    values["release"] = values.get("release") or coerce.text(
        "release", about.get("flywheel.release", about.get("service.version"))
    )
    response_model = coerce.text("model", attrs.pop("gen_ai.response.model", None))
    request_model = coerce.text("model", attrs.get("gen_ai.request.model"))
    if response_model is None or response_model == request_model:
        attrs.pop("gen_ai.request.model", None)
    error = error_of(attrs, events, status, tags)
    reasons = nested(attrs.pop("gen_ai.response.finish_reasons", None))
    reason = reasons[0] if isinstance(reasons, list) and reasons else reasons
    call = Call(
        **values,
        request_id=call_id,
        started_at=times[0],
        latency_s=times[1],
        model=response_model or request_model,
        messages=messages,
        finish_reason=coerce.text("finish_reason", reason or None),
        params=_params(attrs) or None,
        tags={**resource_tags(about), **tags, **attrs},
        feedback=feedback,
    )
    return finish(call, answer, error=error)


def error_of(
    attrs: Attributes,
    events: list[Event],
    status: Json,
    tags: dict[str, Json],
) -> str | None:
    """Status code 2 is an error. Its class: error.type, else the exception's, else _OTHER."""
    about = coerce.mapping(status)
    code = about.get("code")
    if about.get("message"):
        tags["status_message"] = about["message"]
    error_type = coerce.text("error_type", attrs.pop("error.type", None))
    if error_type is None:
        raised = (said.get("exception.type") for name, said, _ in events if name == "exception")
        error_type = next((coerce.text("error_type", kind) for kind in raised if kind), None)
    failed = code in (2, "2", "STATUS_CODE_ERROR")
    # an exception that was caught leaves the span in order
    if not failed and (code in (1, "1", "STATUS_CODE_OK") or error_type is None):
        return None
    return error_type or "_OTHER"


def _params(attrs: Attributes) -> dict[str, Json]:
    params = {name: v for name, v in take_fields(attrs, _PARAM_NAMES).items() if v is not None}
    tools = nested(attrs.pop("gen_ai.tool.definitions", None))
    if tools is not None:
        params["tools"] = tools
    return params


def _feedback(events: list[Event], call_id: str | None) -> Iterable[Feedback]:
    for name, attrs, at in events:
        if name == _EVALUATION:
            yield _evaluation(dict(attrs), call_id, at, alone=False)


def _evaluation(
    attrs: Attributes, call_id: str | None, at: datetime | None, *, alone: bool = True
) -> Feedback:
    """gen_ai.evaluation.result. On its own it must name its call by span, else by response."""
    call_id = call_id or coerce.text("gen_ai.response.id", attrs.get("gen_ai.response.id"))
    if alone and call_id is None:
        raise UnreadableError(
            "an evaluation result without span or response id: it speaks of no call"
        )
    corrected = coerce.text("corrected", attrs.get("flywheel.feedback.corrected"))
    kind = coerce.text("gen_ai.evaluation.name", attrs.get("gen_ai.evaluation.name"))
    comment = attrs.get("gen_ai.evaluation.explanation", attrs.get("gen_ai.evaluation.score.label"))
    return Feedback(
        kind=kind or ("correction" if corrected else "evaluation"),
        request_id=call_id,
        value=coerce.number(
            "gen_ai.evaluation.score.value", attrs.get("gen_ai.evaluation.score.value")
        ),
        comment=coerce.text("comment", comment),
        corrected=corrected,
        given_at=at,
        by=coerce.text("by", attrs.get("enduser.id", attrs.get("user.id"))),
    )


def resource_tags(about: Attributes) -> Attributes:
    return {name: about[name] for name in ("service.name", "deployment.environment.name")
            if name in about}  # fmt: skip
