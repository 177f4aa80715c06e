"""Spans as Zipkin has them (JSON, version 2), a span a value or the list that a trace is.

Every attribute is text, times are in microseconds, an event is an annotation: its name, or
`"name": {attributes}`. Every span becomes one as OTLP has it.

Sources: Zipkin's API, version 2, and OpenTelemetry's translation to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.span_shapes import padded, status_of_tags
from tasks.logs.formats.trace_reading import Item, SpanReader, read
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Dead, Json, Record, UnreadableError

NAME = "zipkin"
VERSION = "zipkin@1"

_MORE_SIGNS = ("localEndpoint", "remoteEndpoint", "annotations", "kind", "duration", "parentId")
_HEX = re.compile(r"[0-9a-fA-F]{1,32}")
_EVENT = re.compile(r'"?([^":{]{1,200})"?:\s*(\{.*\})', re.DOTALL)


def matches(value: Json) -> bool:
    if isinstance(value, list):
        return bool(value) and _is_span(value[0])
    return _is_span(value)


def records(value: Json) -> Iterator[Record]:
    spans = value if isinstance(value, list) else [value]
    if not any(map(_is_span, spans)):
        raise UnreadableError("no span of Zipkin is in it")
    yield from read(or_dead(span, _item, span) for span in spans)


def reader() -> SpanReader[Any]:
    """The spans of a trace may stand in several values."""
    return SpanReader(span_of, records)


def span_of(value: Json) -> Item | None:
    item = or_dead(value, _item, value) if _is_span(value) else None
    return None if isinstance(item, Dead) else item


def _is_span(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and _is_id(value.get("traceId"))
        and _is_id(value.get("id"))
        and isinstance(value.get("timestamp"), int)
        and "attributes" not in value
        and isinstance(value.get("tags", {}), dict)
        and any(key in value for key in _MORE_SIGNS)
    )


def _is_id(value: Json) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _item(span: Json) -> Item:
    if not isinstance(span, dict):
        raise UnreadableError(f"a span: expected an object, received {coerce.kind_of(span)}")
    found = {**coerce.mapping(span.get("tags"))}
    start = coerce.integer("timestamp", span.get("timestamp"))
    lasted = coerce.integer("duration", span.get("duration"))
    as_otlp: dict[str, Json] = {
        "traceId": padded(span.get("traceId"), 32),
        "spanId": padded(span.get("id"), 16),
        "parentSpanId": padded(span.get("parentId"), 16),
        "name": span.get("name"),
        "startTimeUnixNano": None if start is None else start * 1000,
        "endTimeUnixNano": None if start is None or lasted is None else (start + lasted) * 1000,
        "status": status_of_tags(found),
        "events": [_event(each) for each in coerce.sequence(span.get("annotations"))],
        "attributes": found,
    }
    service = coerce.first(span.get("localEndpoint"), "serviceName")
    return as_otlp, {"service.name": service} if service else {}


def _event(annotation: Json) -> dict[str, Json]:
    said = coerce.text("annotation", coerce.first(annotation, "value")) or ""
    match = _EVENT.fullmatch(said)
    about: Attributes = coerce.mapping(nested(match[2])) if match else {}
    at = coerce.integer("timestamp", coerce.first(annotation, "timestamp"))
    return {
        "name": match[1].strip() if match else said,
        "attributes": about,
        "timeUnixNano": None if at is None else at * 1000,
    }
