"""What an OTLP span or log record says of itself apart from its attributes: ids, times, events."""

from __future__ import annotations

from datetime import datetime

from tasks.logs.formats.otlp_values import Attributes, attributes
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json, UnreadableError

#: name, attributes, time
Event = tuple[str, Attributes, datetime | None]


def read_times(
    span: dict[str, Json], tags: dict[str, Json]
) -> tuple[datetime | None, float | None]:
    """(start, seconds). A placeholder instead of a time is no time, and is kept as a tag."""
    nanos: list[int | None] = []
    for name in ("startTimeUnixNano", "endTimeUnixNano"):
        value = span.get(name)
        try:
            nano = coerce.integer(name, value)
        except UnreadableError:
            if not isinstance(value, str) or value.lstrip("-").isdigit():
                raise
            tags[name], nano = value[:100], None
        nanos.append(nano or None)  # 0 means unknown
    start, end = nanos
    moment = None if start is None else coerce.from_nanoseconds("startTimeUnixNano", start)
    latency = None if start is None or end is None else (end - start) / 1e9
    return moment, latency


def time_or_none(value: Json) -> datetime | None:
    try:
        nano = coerce.integer("timeUnixNano", value)
        return coerce.from_nanoseconds("timeUnixNano", nano) if nano else None
    except UnreadableError:
        return None


def span_id(item: dict[str, Json]) -> str | None:
    """traceId:spanId, unique to a call, unlike response ids, which caches repeat."""
    trace, span = item.get("traceId"), item.get("spanId")
    if isinstance(trace, str) and isinstance(span, str) and span:
        return f"{trace}:{span}"
    return None


def parent_id(span: dict[str, Json]) -> str | None:
    """The id of the span around it, as span_id gives it."""
    return span_id({"traceId": span.get("traceId"), "spanId": span.get("parentSpanId")})


def read_events(value: Json) -> list[Event]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableError(f"events: expected a list, received {coerce.kind_of(value)}")
    events = []
    for event in value:
        if not isinstance(event, dict):
            raise UnreadableError(f"events: expected an object, received {coerce.kind_of(event)}")
        attrs = attributes(event.get("attributes"))
        name = coerce.text("event name", event.get("name")) or ""
        events.append((name, attrs, time_or_none(event.get("timeUnixNano"))))
    return events
