"""OpenTelemetry GenAI spans and events as OTLP JSON.

A document or line is {"resourceSpans": […]}, {"resourceLogs": […]} or {"resourceMetrics": […]}.
Only spans of one model call are calls. Tool, agent and workflow spans repeat their children's
tokens: they are counted as Other. This module knows the envelope; otlp_call.py the attributes.

Source: opentelemetry-proto (JSON mapping) and the GenAI semantic conventions, old and new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from tasks.logs.formats import openinference_call, otlp_call, otlp_values, spans
from tasks.logs.formats.openinference_call import KIND
from tasks.logs.formats.otlp_values import Attributes, attributes
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import dead, or_dead
from tasks.logs.shapes.records import Dead, Json, Other, Record, UnreadableError

NAME = "otlp"
VERSION = "otlp@3"

# the JSON mapping of protocol buffers allows both spellings; the third name is from before 1.0
_SPANS = ("resourceSpans", "resource_spans")
_LOGS = ("resourceLogs", "resource_logs")
_METRICS = ("resourceMetrics", "resource_metrics")
_SCOPE_SPANS = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
_SCOPE_LOGS = ("scopeLogs", "scope_logs", "instrumentationLibraryLogs")
_LOG_RECORDS = ("logRecords", "log_records")
_LOG_ENVELOPES = frozenset(_LOGS)
_ENVELOPES = frozenset({*_SPANS, *_LOGS, *_METRICS})

#: a span or log record, and the attributes of its resource
_Item = tuple[dict[str, Json], Attributes]
#: a span, its attributes and those of its resource
_Read = tuple[dict[str, Json], Attributes, Attributes]


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    enveloped = any(isinstance(value.get(key), list) for key in _ENVELOPES)
    return enveloped or spans.is_span(value)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    if spans.is_span(value):
        yield from _spans([(value, _resource_attributes(value.get("resource")))])
        return
    if _ENVELOPES.isdisjoint(value):
        raise UnreadableError("neither resourceSpans nor resourceLogs is in it")
    yield from _spans(_walk(value, _SPANS, _SCOPE_SPANS, ("spans",)))
    if not _LOG_ENVELOPES.isdisjoint(value):
        yield from _logs(_walk(value, _LOGS, _SCOPE_LOGS, _LOG_RECORDS))
    metrics = coerce.first(value, *_METRICS)
    if metrics:
        yield Other(len(metrics) if isinstance(metrics, list) else 1)


def spans_of(value: dict[str, Json]) -> list[dict[str, Json]]:
    """The spans of an envelope that are objects."""
    items = _walk(value, _SPANS, _SCOPE_SPANS, ("spans",))
    return [item[0] for item in items if not isinstance(item, Dead)]


def _walk(
    value: dict[str, Json], outer: tuple[str, ...], middle: tuple[str, ...], inner: tuple[str, ...]
) -> Iterator[_Item | Dead]:
    """resource → scope → item; whatever is not the object it should be is a dead letter."""
    for resource in _objects(coerce.first(value, *outer)):
        if isinstance(resource, Dead):
            yield resource
            continue
        about = or_dead(resource, _resource_attributes, resource.get("resource"))
        if isinstance(about, Dead):
            yield replace(about, error=f"resource: {about.error}")
            about = {}
        for scope in _objects(coerce.first(resource, *middle)):
            if isinstance(scope, Dead):
                yield scope
                continue
            for item in _objects(coerce.first(scope, *inner)):
                yield item if isinstance(item, Dead) else (item, about)


def _spans(items: Iterable[_Item | Dead]) -> Iterator[Record]:
    """A call span around another call span is the same API call: only the inner one counts."""
    read: list[_Read | Dead] = []
    for item in items:
        if isinstance(item, Dead):
            read.append(item)
            continue
        try:
            span = spans.to_otlp(item[0])
            read.append((span, attributes(span.get("attributes")), item[1]))
        except UnreadableError as error:
            read.append(dead(item[0], error))
    outer = _wrapping(read) if len(read) > 1 else set()
    for whole in read:
        if isinstance(whole, Dead):
            yield whole
            continue
        span, attrs, _ = whole
        if outer and spans.span_id(span) in outer:
            yield Other()
        else:
            known = KIND not in attrs or otlp_call.is_call(attrs)
            reader = otlp_call.from_span if known else openinference_call.from_span
            yield from _guarded(span, reader, *whole)


def _wrapping(read: list[_Read | Dead]) -> set[str]:
    return spans.wrapping(
        (spans.span_id(whole[0]), spans.parent_id(whole[0]))
        for whole in read
        if not isinstance(whole, Dead)
        and (otlp_call.is_call(whole[1]) or openinference_call.is_call(whole[1]))
    )


def _logs(items: Iterable[_Item | Dead]) -> Iterator[Record]:
    """Events; those that are one message each are gathered into the call of their span."""
    spoken: dict[str, tuple[list[dict[str, Json]], list[tuple[str, Attributes]], Attributes]] = {}
    for item in items:
        if isinstance(item, Dead):
            yield item
            continue
        message = or_dead(item[0], otlp_call.message_event, item[0])
        if isinstance(message, Dead):
            yield message
        elif message is None:
            yield from _guarded(item[0], otlp_call.from_log, *item)
        else:
            own = spans.span_id(item[0]) or ""
            logs, events, _ = spoken.setdefault(own, ([], [], item[1]))
            logs.append(item[0])
            events.append(message)
    for logs, events, about in spoken.values():
        yield from _guarded(logs, otlp_call.from_messages, logs, events, about)


def _guarded(item: Json, read: Callable[..., Iterable[Record]], *parts: Any) -> list[Record]:
    """All records of an item that `read` finds in its parts, or none and a dead letter."""
    try:
        return list(read(*parts))
    except UnreadableError as error:
        return [dead(item, error)]


def _objects(items: Json) -> Iterator[dict[str, Json] | Dead]:
    if items is None:
        return
    if not isinstance(items, list):
        yield dead(items, f"expected a list, received {coerce.kind_of(items)}")
        return
    for item in items:
        if isinstance(item, dict):
            yield item
        else:
            yield dead(item, f"expected an object, received {coerce.kind_of(item)}")


def _resource_attributes(resource: Json) -> Attributes:
    return otlp_values.attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
