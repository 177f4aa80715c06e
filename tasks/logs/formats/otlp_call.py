"""One OTLP span or log record → a call, feedback, or something else.

What no field takes up becomes a tag. The attribute names are otlp_names.py's, the messages
otlp_messages.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from tasks.logs.formats import otlp_messages
from tasks.logs.formats import otlp_names as names
from tasks.logs.formats.otlp_values import (
    Attributes,
    any_value,
    attributes,
    take_fields,
    take_indexed,
)
from tasks.logs.formats.span_shapes import is_any_value
from tasks.logs.formats.spans import Event, read_events, read_times, span_id, tags_of, time_or_none
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.json_text import nested, parse
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Feedback, Json, Other, Record, UnreadableError
from tasks.logs.shapes.usage import Reported

_DETAILS = "gen_ai.client.inference.operation.details"
_EVALUATION = "gen_ai.evaluation.result"
_MAX_DEPTH = 20


def from_span(span: dict[str, Json], attrs: Attributes, about: Attributes) -> Iterable[Record]:
    """Takes the attributes out of `attrs`; what is left becomes tags."""
    if attrs.get("ai.operationId") in names.EMBEDS:
        _say_embeddings(attrs)
    if names.FIRST_CHUNK_MS in attrs:
        waited_s = coerce.seconds(names.FIRST_CHUNK_MS, attrs.pop(names.FIRST_CHUNK_MS), 1e3)
        attrs.setdefault("gen_ai.response.time_to_first_chunk", waited_s)
    events = read_events(span.get("events"))
    status = span.get("status")
    if not is_call(attrs) or (_is_told_later(attrs) and not _has_failed(status)):
        yield Other()
        # the verdict on an agent's answer is feedback even though the span is no call
        yield from _feedback(events, span_id(span))
        return
    tags = tags_of(span)
    started, latency = read_times(span, tags)
    if not latency and started is not None and "response_data" in attrs:
        streamed_s = coerce.number("duration", attrs.pop("duration", None))
        if streamed_s:
            started, latency = started - timedelta(seconds=streamed_s), streamed_s
    yield _call(attrs, about, events, span_id(span), (started, latency), status, tags)


def _say_embeddings(attrs: Attributes) -> None:
    """The AI SDK has names of its own for them alone. The vectors themselves are not kept."""
    asked = nested(attrs.pop("ai.values", attrs.pop("ai.value", None)))
    texts = [_quoted(each) for each in (asked if isinstance(asked, list) else [asked])]
    attrs["gen_ai.operation.name"] = "embeddings"
    attrs["gen_ai.request.model"] = attrs.pop("ai.model.id", None)
    attrs["gen_ai.usage.input_tokens"] = attrs.pop("ai.usage.tokens", None)
    if asked is not None:
        attrs["gen_ai.input.messages"] = [{"role": "user", "content": text} for text in texts]
    for vectors in ("ai.embeddings", "ai.embedding"):
        attrs.pop(vectors, None)


def _quoted(text: Json) -> Json:
    """What is asked is JSON text, a text in quotation marks."""
    if not isinstance(text, str) or not text.startswith('"'):
        return text
    try:
        return parse(text.encode(), _MAX_DEPTH)
    except UnreadableError:
        return text


def _is_told_later(attrs: Attributes) -> bool:
    """Logfire: of a stream the answer, and all else, is in a log record beside the span."""
    if "request_data" not in attrs or "response_data" in attrs:
        return False
    return coerce.first(nested(attrs["request_data"]), "stream") is True


def from_log(log: dict[str, Json], about: Attributes) -> Iterable[Record]:
    """The event that describes a call whole is one; an evaluation result is feedback."""
    attrs = attributes(log.get("attributes"))
    name = event_name(log, attrs)
    call_id = span_id(log)
    if name == _EVALUATION:
        yield _evaluation(attrs, call_id, time_or_none(log.get("timeUnixNano")))
    elif name == _DETAILS:
        attrs = {**_body(log), **attrs}
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
    return str(name), {**attrs, **_body(log)}


def _body(log: dict[str, Json]) -> dict[str, Json]:
    """What a log record says beside its attributes, where that is an object."""
    body = log.get("body")
    return coerce.mapping(any_value(body) if is_any_value(body) else nested(body))


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
    if attrs.get("logfire.span_type") == "pending_span":  # written when the span begins
        return False
    if attrs.get("ai.operationId") in names.EMBEDS:
        return True
    operation = attrs.get("gen_ai.operation.name") or attrs.get("llm.request.type")
    if isinstance(operation, str) and operation.lower() in names.CALL_OPERATIONS:
        return True
    if isinstance(operation, str) and operation.lower() in names.OTHER_OPERATIONS:
        return False
    is_named = any(name in attrs for name in names.MODELS)
    return is_named and any(sign in attrs for sign in names.SIGNS_OF_A_CALL)


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
    request = otlp_messages.take_request(attrs)
    messages = otlp_messages.take_input(attrs, said, request)
    answer = otlp_messages.take_answer(attrs, said)
    known = otlp_messages.KNOWN_EVENTS
    if foreign := [{"name": name, **about} for name, about in said if name not in known]:
        tags["events"] = foreign
    values, counts, params = _fields(attrs)
    if request is not None:
        params = {**otlp_messages.params_of(request), **params}
    if (tools := _tools(attrs)) is not None:
        params["tools"] = tools
    values["release"] = values.get("release") or coerce.text(
        "release", about.get("flywheel.release", about.get("service.version"))
    )
    asked = values.pop("request_model", None)
    model = values.pop("model", None)
    if model and asked and model != asked:
        attrs["gen_ai.request.model"] = asked
    error = error_of(attrs, events, status, tags)
    reasons = nested(attrs.pop("gen_ai.response.finish_reasons", None))
    reason = reasons[0] if isinstance(reasons, list) and reasons else reasons
    call = Call(
        **values,
        **counts,
        request_id=call_id,
        started_at=times[0],
        latency_s=times[1],
        model=model or asked,
        messages=messages,
        finish_reason=coerce.text("finish_reason", reason or None),
        params=params or None,
        tags={**resource_tags(about), **tags, **attrs},
        feedback=feedback,
    )
    return finish(call, answer, error=error)


def _fields(attrs: Attributes) -> tuple[dict[str, Any], dict[str, Any], dict[str, Json]]:
    """What attributes say outright, taken out: fields of a call, its counts, its parameters."""
    values: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    params: dict[str, Json] = {}
    for name, value in take_fields(attrs, names.FIELDS).items():
        if name in names.COUNTS:
            counts[name] = usage.known(name, value)
        elif name in names.PARAMS:
            if value is not None:
                params[name] = _plain(value) if type(value) is str else value
        else:
            values[name] = names.READERS[name](name, value)
    if (operation := values.get("operation")) is not None:
        values["operation"] = names.OPERATIONS.get(operation, operation)
    values["provider"] = named(values.get("provider"))
    return values, Reported(**counts).canonical(), params


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
    if error_type is None and events:
        raised = (said.get("exception.type") for name, said, _ in events if name == "exception")
        error_type = next((coerce.text("error_type", kind) for kind in raised if kind), None)
    failed = _has_failed(about)
    # an exception that was caught leaves the span in order
    if not failed and (code in (1, "1", "STATUS_CODE_OK") or error_type is None):
        return None
    return error_type or "_OTHER"


def _has_failed(status: Json) -> bool:
    return isinstance(status, dict) and status.get("code") in (2, "2", "STATUS_CODE_ERROR")


def _plain(text: str) -> Json:
    """Some backends keep attributes as text: numbers, true and false, lists."""
    try:
        value = parse(text.encode(), _MAX_DEPTH)
    except UnreadableError:
        return text
    return text if isinstance(value, str) else value


def _tools(attrs: Attributes) -> Json:
    """OpenLLMetry: llm.request.functions.N.name, .description and .parameters."""
    tools = nested(attrs.pop("gen_ai.tool.definitions", None))
    if tools is not None or "llm.request.functions.0.name" not in attrs:
        return tools
    return [
        {"type": "function", "function": {key: nested(item) for key, item in function.items()}}
        for function in take_indexed(attrs, "llm.request.functions")
    ]


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
