"""Spans as Elasticsearch keeps those that OpenTelemetry sends (data streams `traces-*.otel-*`).

Names are snake_case, the start is `@timestamp`, the duration in nanoseconds. What is around a
document (`_source`, `hits`) is an envelope. The documents of Elastic APM itself keep attributes as
labels without their dots and are not read. Source: the Elasticsearch exporter of the collector,
mapping mode otel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.trace_reading import Item, SpanReader, read
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.records import Dead, Json, Record, UnreadableError

NAME = "elastic"
VERSION = "elastic@1"

_SIGNS = ("@timestamp", "trace_id", "span_id", "attributes", "duration")


def matches(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and all(sign in value for sign in _SIGNS)
        and isinstance(value["attributes"], dict)
    )


def records(value: Json) -> Iterator[Record]:
    if not matches(value):
        raise UnreadableError("no span of OpenTelemetry as Elasticsearch keeps it")
    yield from read([or_dead(value, _item, value)])


def reader() -> SpanReader[Any]:
    """The spans of a trace stand in several documents."""
    return SpanReader(span_of, records)


def span_of(value: Json) -> Item | None:
    item = or_dead(value, _item, value) if matches(value) else None
    return None if isinstance(item, Dead) else item


def _item(doc: dict[str, Json]) -> Item:
    start = _nanoseconds(doc["@timestamp"])
    lasted = coerce.integer("duration", doc.get("duration"))
    code = coerce.text("status.code", coerce.first(doc.get("status"), "code")) or "Unset"
    as_otlp: dict[str, Json] = {
        "traceId": doc.get("trace_id"),
        "spanId": doc.get("span_id"),
        "parentSpanId": doc.get("parent_span_id"),
        "name": doc.get("name"),
        "startTimeUnixNano": start,
        "endTimeUnixNano": None if start is None or lasted is None else start + lasted,
        "status": {
            "code": f"STATUS_CODE_{code.upper()}",
            "message": coerce.first(doc.get("status"), "message"),
        },
        "attributes": doc["attributes"],
    }
    resource = coerce.mapping(doc.get("resource"))
    return as_otlp, coerce.mapping(resource.get("attributes"))


def _nanoseconds(value: Json) -> int | None:
    """ISO text, or milliseconds with a fraction as text."""
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        whole, _, rest = value.partition(".")
        return int(whole) * 1_000_000 + int(f"{rest[:6]:0<6}")
    return coerce.nanoseconds("@timestamp", value)
