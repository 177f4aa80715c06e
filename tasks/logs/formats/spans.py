"""Spans of any exporter → the one shape that the OTLP readers take, and its ids, times and events.

OTLP JSON has camelCase names and attributes as a list; the OpenTelemetry SDK's own JSON, Phoenix
and MLflow have snake_case names, a `context`, attributes as an object (Phoenix: nested), times as
ISO text or nanoseconds. Sources: OTLP's JSON mapping, ReadableSpan.to_json, Phoenix's export.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tasks.logs.formats.otlp_values import Attributes, attributes
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json, UnreadableError

#: name, attributes, time
Event = tuple[str, Attributes, datetime | None]

_OPENINFERENCE = "openinference.span.kind"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the store keeps UTC without a zone
_TIMES = {
    "startTimeUnixNano": ("start_time_unix_nano", "start_time", "start_time_ns"),
    "endTimeUnixNano": ("end_time_unix_nano", "end_time", "end_time_ns"),
}
_EVENT_TIMES = ("timeUnixNano", "time_unix_nano", "timestamp")


def is_span(value: Json) -> bool:
    """One bare span; the names alone would also fit other records, so several must be there."""
    if not isinstance(value, dict) or not isinstance(value.get("attributes"), list | dict):
        return False
    if isinstance(value["attributes"], dict) and _OPENINFERENCE in value["attributes"]:
        return True
    signs = ("kind", "span_kind", "spanId", "span_id", "context", "startTimeUnixNano", "status")
    return isinstance(value.get("name"), str) and sum(sign in value for sign in signs) >= 2


def to_otlp(span: dict[str, Json]) -> dict[str, Json]:
    """Names as OTLP has them; attributes may stay an object. An OTLP span comes back as it is."""
    if "spanId" in span or "startTimeUnixNano" in span:
        return span
    context = span.get("context")
    ids: dict[str, Json] = context if isinstance(context, dict) else span
    named: dict[str, Json] = {
        **span,
        "traceId": _bare(ids.get("trace_id")),
        "spanId": _bare(ids.get("span_id")),
        "parentSpanId": _bare(coerce.first(span, "parentSpanId", "parent_span_id", "parent_id")),
        "status": _status(span),
    }
    for name, others in _TIMES.items():
        named[name] = _nanoseconds(name, coerce.first(span, *others))
    events = span.get("events")
    if isinstance(events, list):
        named["events"] = [
            {**event, "timeUnixNano": _nanoseconds("event", coerce.first(event, *_EVENT_TIMES))}
            if isinstance(event, dict) else event
            for event in events
        ]  # fmt: skip
    return named


def wrapping(calls: Iterable[tuple[Json, Json]]) -> set[str]:
    """Of (id, parent id) of spans that each look like a call: ids of those around another one.

    Frameworks put a span of their own around that of the client library: it is one API call.
    """
    pairs = [(own, parent) for own, parent in calls if isinstance(own, str)]
    known = {own for own, _ in pairs}
    return {parent for _, parent in pairs if isinstance(parent, str) and parent in known}


def _bare(value: Json) -> Json:
    return value.removeprefix("0x") if isinstance(value, str) else value


def _status(span: dict[str, Json]) -> Json:
    status = span.get("status")
    if isinstance(status, dict):
        code = coerce.first(status, "code", "status_code")
        return {"code": _code(code), "message": coerce.first(status, "message", "description")}
    code = span.get("status_code", status)
    return {"code": _code(code), "message": span.get("status_message")}


def _code(code: Json) -> Json:
    if isinstance(code, str) and not code.startswith("STATUS_CODE_"):
        return f"STATUS_CODE_{code.rpartition('.')[2].upper()}"
    return code


def _nanoseconds(name: str, value: Json) -> Any:
    """ISO text as nanoseconds since the epoch; numbers are that already."""
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        moment = coerce.moment(name, value)
        if moment is None:
            return None
        since = moment - _EPOCH
        return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    return value


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
