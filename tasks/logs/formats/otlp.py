"""OpenTelemetry GenAI spans and events as OTLP JSON, and as SDKs print them.

A document or line is {"resourceSpans": […]}, {"resourceLogs": […]} or {"resourceMetrics": […]}, one
item of such a list (Java's logging exporter), Tempo's {"batches": […]}, {"trace": …} or search
result, or a bare span or log record. Only spans of one model call are calls. Tool, agent and
workflow spans repeat their children's tokens: they are counted as Other. This module knows the
envelope, span_shapes.py a bare span, otlp_call.py the attributes.

Sources: opentelemetry-proto (JSON mapping), the GenAI semantic conventions, old and new, Tempo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tasks.logs.formats import otlp_call, otlp_values, span_shapes, spans
from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.trace_reading import Item, guarded, read
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import dead, or_dead
from tasks.logs.shapes.records import Dead, Json, Other, Record, UnreadableError

NAME = "otlp"
VERSION = "otlp@5"

# the JSON mapping of protocol buffers allows both spellings; the third name is from before 1.0
_SPANS = ("resourceSpans", "resource_spans")
_LOGS = ("resourceLogs", "resource_logs")
_METRICS = ("resourceMetrics", "resource_metrics")
_SCOPE_SPANS = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
_SCOPE_LOGS = ("scopeLogs", "scope_logs", "instrumentationLibraryLogs")
_LOG_RECORDS = ("logRecords", "log_records")
_SPAN_SETS = ("spanSets", "spanSet")
_LOG_ENVELOPES = frozenset(_LOGS)
_ENVELOPES = frozenset({*_SPANS, *_LOGS, *_METRICS})


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    envelope = _envelope(value)
    if envelope is not None:
        return any(isinstance(envelope.get(key), list) for key in _ENVELOPES)
    return is_bare(value)


def is_bare(value: Json) -> bool:
    """A span or log record without an envelope."""
    if not isinstance(value, dict) or _envelope(value) is not None:
        return False
    return span_shapes.is_span(value) or span_shapes.is_log(value)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    envelope = _envelope(value)
    if envelope is None:
        yield from _bare(value)
        return
    yield from read(_walk(envelope, _SPANS, _SCOPE_SPANS, ("spans",)))
    if not _LOG_ENVELOPES.isdisjoint(envelope):
        yield from _logs(_walk(envelope, _LOGS, _SCOPE_LOGS, _LOG_RECORDS))
    metrics = coerce.first(envelope, *_METRICS)
    if metrics:
        yield Other(len(metrics) if isinstance(metrics, list) else 1)


def span_of(value: Json) -> Item | None:
    """A bare span, and the attributes of its resource."""
    item = or_dead(value, _item, value) if is_bare(value) and span_shapes.is_span(value) else None
    return None if isinstance(item, Dead) else item


def _item(span: dict[str, Json]) -> Item:
    return span_shapes.to_otlp(span), span_shapes.resource_of(span)


def spans_of(value: dict[str, Json]) -> list[dict[str, Json]]:
    """The spans of an envelope that are objects."""
    items = _walk(_envelope(value) or {}, _SPANS, _SCOPE_SPANS, ("spans",))
    return [item[0] for item in items if not isinstance(item, Dead)]


def _envelope(value: dict[str, Json]) -> dict[str, Json] | None:
    """As OTLP has it; None: it is none."""
    if not _ENVELOPES.isdisjoint(value):
        return value
    inner = coerce.first(value, "trace", "result")  # Tempo's second API, Jaeger's third
    if isinstance(inner, dict) and not _ENVELOPES.isdisjoint(inner):
        return inner
    if any(isinstance(value.get(key), list) for key in _SCOPE_SPANS):
        return {_SPANS[0]: [value]}
    if any(isinstance(value.get(key), list) for key in _SCOPE_LOGS):
        return {_LOGS[0]: [value]}
    batches = value.get("batches")
    if isinstance(batches, list) and any(
        isinstance(batch, dict) and any(key in batch for key in _SCOPE_SPANS) for batch in batches
    ):
        return {_SPANS[0]: batches}
    found = value.get("traces")
    if isinstance(found, list) and any(coerce.first(each, *_SPAN_SETS) for each in found):
        return {_SPANS[0]: [_found(each) for each in found]}
    return None


def _found(trace: Json) -> Json:
    """A trace of Tempo's search: its spans have the attributes that were selected."""
    sets = coerce.first(trace, *_SPAN_SETS)
    found = [
        {**span, "traceId": trace.get("traceID"), "spanId": span.get("spanID"),
         "endTimeUnixNano": _later(span.get("startTimeUnixNano"), span.get("durationNanos"))}
        if isinstance(span, dict) else span
        for each in (sets if isinstance(sets, list) else [sets])
        for span in coerce.sequence(coerce.first(each, "spans"))
    ]  # fmt: skip
    return {"scopeSpans": [{"spans": found}]} if isinstance(trace, dict) else trace


def _later(start: Json, duration: Json) -> Json:
    try:
        from_start = coerce.integer("durationNanos", duration)
        began = coerce.integer("startTimeUnixNano", start)
    except UnreadableError:
        return None
    return None if began is None or from_start is None else began + from_start


def _bare(value: dict[str, Json]) -> Iterator[Record]:
    if span_shapes.is_span(value):
        yield from read([or_dead(value, _item, value)])
    elif span_shapes.is_log(value):
        yield from _logs([(span_shapes.log_to_otlp(value), span_shapes.resource_of(value))])
    else:
        raise UnreadableError("neither resourceSpans nor resourceLogs is in it")


def _walk(
    value: dict[str, Json], outer: tuple[str, ...], middle: tuple[str, ...], inner: tuple[str, ...]
) -> Iterator[Item | Dead]:
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


def _logs(items: Iterable[Item | Dead]) -> Iterator[Record]:
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
            yield from guarded(item[0], otlp_call.from_log, *item)
        else:
            own = spans.span_id(item[0]) or ""
            logs, events, _ = spoken.setdefault(own, ([], [], item[1]))
            logs.append(item[0])
            events.append(message)
    for logs, events, about in spoken.values():
        yield from guarded(logs, otlp_call.from_messages, logs, events, about)


def _objects(items: Json) -> list[dict[str, Json] | Dead]:
    if items is None:
        return []
    if not isinstance(items, list):
        return [dead(items, f"expected a list, received {coerce.kind_of(items)}")]
    return [
        item if isinstance(item, dict)
        else dead(item, f"expected an object, received {coerce.kind_of(item)}")
        for item in items
    ]  # fmt: skip


def _resource_attributes(resource: Json) -> Attributes:
    return otlp_values.attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
