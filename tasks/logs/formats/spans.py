"""Of a span with OTLP's names: its ids, times and events, and which span is around which."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import datetime

from tasks.logs.formats.otlp_values import Attributes, attributes
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json, UnreadableError

#: name, attributes, time
Event = tuple[str, Attributes, datetime | None]

_is_normal = re.compile(r"(?!0+:)[0-9a-f]{32}:(?!0+\Z)[0-9a-f]{16}").fullmatch
_HEX = frozenset("0123456789abcdef")
_URL_SAFE = str.maketrans("-_", "+/")


def wrapping(calls: Iterable[tuple[Json, Json]]) -> set[str]:
    """Of (id, parent id) of spans that each look like a call: ids of those around another one.

    Frameworks put a span of their own around that of the client library: it is one API call.
    """
    pairs = [(own, parent) for own, parent in calls if isinstance(own, str)]
    known = {own for own, _ in pairs}
    return {parent for _, parent in pairs if isinstance(parent, str) and parent in known}


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


def hex_id(value: Json) -> str | None:
    """A trace or span id in its one form, small hexadecimal digits; None: there is none.

    JSON made of protocol buffers has base64 (8 and 16 bytes end in =), SDKs print 0x before it, and
    of a span without a parent some write zeros. An id of another kind stays as it is.
    """
    if not isinstance(value, str) or not value:
        return None
    if value.islower() and value.isalnum() and not value.startswith("0x"):
        return value
    if value.endswith("="):
        try:
            decoded = base64.b64decode(value.translate(_URL_SAFE), validate=True)
        except (binascii.Error, ValueError):
            return value
        return hex_id(decoded.hex())
    digits = value.removeprefix("0x").removeprefix("0X").lower()
    if not digits.strip("0"):
        return None
    return digits if _HEX.issuperset(digits) else value


def span_id(item: dict[str, Json]) -> str | None:
    """traceId:spanId, unique to a call, unlike response ids, which caches repeat."""
    return _joined(item.get("traceId"), item.get("spanId"))


def parent_id(span: dict[str, Json]) -> str | None:
    """The id of the span around it, as span_id gives it."""
    return _joined(span.get("traceId"), span.get("parentSpanId"))


def _joined(trace: Json, span: Json) -> str | None:
    if trace is None or span is None:
        return None
    if _is_normal(joined := f"{trace}:{span}"):  # nearly every one
        return joined
    trace, span = hex_id(trace), hex_id(span)
    return None if trace is None or span is None else f"{trace}:{span}"


def tags_of(span: dict[str, Json]) -> dict[str, Json]:
    """Where a call stands in its trace: the id of the span around it, and its own name."""
    tags: dict[str, Json] = {}
    if (parent := hex_id(span.get("parentSpanId"))) is not None:
        tags["parent_span_id"] = parent
    if span.get("name"):
        tags["span_name"] = span["name"]
    return tags


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
