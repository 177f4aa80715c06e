"""OpenTelemetry GenAI spans and events as OTLP JSON.

A document or line is {"resourceSpans": […]}, {"resourceLogs": […]} or {"resourceMetrics": […]}.
Only spans of one model call are calls. Tool, agent and workflow spans repeat their children's
tokens: they are counted as Other. This module knows the envelope; otlp_call.py the attributes.

Source: opentelemetry-proto (JSON mapping) and the GenAI semantic conventions, old and new.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.ingest import coerce
from tasks.ingest.formats import otlp_call, otlp_values
from tasks.ingest.formats.otlp_values import Attributes
from tasks.ingest.json_text import dump_bytes
from tasks.ingest.records import Dead, Json, Other, Record, UnreadableError

NAME = "otlp"
VERSION = "otlp@1"

# the JSON mapping of protocol buffers allows both spellings; the third name is from before 1.0
_SPANS = ("resourceSpans", "resource_spans")
_LOGS = ("resourceLogs", "resource_logs")
_METRICS = ("resourceMetrics", "resource_metrics")
_SCOPE_SPANS = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
_SCOPE_LOGS = ("scopeLogs", "scope_logs", "instrumentationLibraryLogs")
_LOG_RECORDS = ("logRecords", "log_records")


def matches(value: Json) -> bool:
    return isinstance(value, dict) and any(
        isinstance(value.get(key), list) for key in (*_SPANS, *_LOGS, *_METRICS)
    )


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, received {coerce.kind_of(value)}")
    if not any(key in value for key in (*_SPANS, *_LOGS, *_METRICS)):
        raise UnreadableError("neither resourceSpans nor resourceLogs is in it")
    spans, logs = otlp_values.first(value, _SPANS), otlp_values.first(value, _LOGS)
    if spans is not None:
        yield from _walk(spans, _SCOPE_SPANS, ("spans",), otlp_call.from_span)
    if logs is not None:
        yield from _walk(logs, _SCOPE_LOGS, _LOG_RECORDS, otlp_call.from_log)
    metrics = otlp_values.first(value, _METRICS)
    if metrics:
        yield Other(len(metrics) if isinstance(metrics, list) else 1)


def _walk(
    resources: Json,
    middle: tuple[str, ...],
    inner: tuple[str, ...],
    read: otlp_call.Reader,
) -> Iterator[Record]:
    """resource → scope → item; whatever is not the object it should be is a dead letter."""
    for resource in _objects(resources):
        if isinstance(resource, Dead):
            yield resource
            continue
        try:
            about = _resource_attributes(resource.get("resource"))
        except UnreadableError as error:
            yield Dead(f"resource: {error}", dump_bytes(resource.get("resource")))
            about = {}
        for scope in _objects(otlp_values.first(resource, middle)):
            if isinstance(scope, Dead):
                yield scope
                continue
            for item in _objects(otlp_values.first(scope, inner)):
                yield from [item] if isinstance(item, Dead) else _read(read, item, about)


def _read(read: otlp_call.Reader, item: dict[str, Json], about: Attributes) -> Iterator[Record]:
    try:
        found = list(read(item, about))
    except UnreadableError as error:
        found = [Dead(str(error), dump_bytes(item))]
    yield from found


def _objects(items: Json) -> Iterator[dict[str, Json] | Dead]:
    if items is None:
        return
    if not isinstance(items, list):
        yield Dead(f"expected a list, received {coerce.kind_of(items)}", dump_bytes(items))
        return
    for item in items:
        if isinstance(item, dict):
            yield item
        else:
            error = f"expected an object, received {coerce.kind_of(item)}"
            yield Dead(error, dump_bytes(item))


def _resource_attributes(resource: Json) -> Attributes:
    return otlp_values.attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
