"""Rows of the table `otel_traces` that OpenTelemetry's exporter for ClickHouse makes.

Every value of a map is text; a map comes as an object, as pairs (Parquet), as JSON text, or as
ClickHouse writes it into CSV. Events stand in three columns. Every row becomes a span as OTLP has
it.

Source: the collector's clickhouseexporter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.trace_reading import Item, SpanReader, read
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Dead, Json, Record, UnreadableError

NAME = "otel_traces"
VERSION = "otel_traces@1"

_SIGNS = ("TraceId", "SpanId", "SpanName", "SpanAttributes")
_TEXT = r"'((?:[^'\\]|\\.)*+)'"
#: {'key':'value','key':'value'}
_PAIR = re.compile(rf"{_TEXT}\s*:\s*{_TEXT}\s*(?:,\s*|\Z)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}


def matches(value: Json) -> bool:
    return isinstance(value, dict) and all(sign in value for sign in _SIGNS)


def records(value: Json) -> Iterator[Record]:
    if not matches(value):
        raise UnreadableError("it has not the columns of otel_traces")
    yield from read([or_dead(value, _item, value)])


def reader() -> SpanReader[Any]:
    """The rows of a trace stand in several values."""
    return SpanReader(span_of, records)


def span_of(value: Json) -> Item | None:
    item = or_dead(value, _item, value) if matches(value) else None
    return None if isinstance(item, Dead) else item


def _item(row: dict[str, Json]) -> Item:
    start = coerce.nanoseconds("Timestamp", row.get("Timestamp"))
    lasted = coerce.integer("Duration", row.get("Duration"))
    about = _map("ResourceAttributes", row.get("ResourceAttributes"))
    if row.get("ServiceName"):
        about = {"service.name": row["ServiceName"], **about}
    code = coerce.text("StatusCode", row.get("StatusCode")) or "Unset"
    as_otlp: dict[str, Json] = {
        "traceId": row.get("TraceId"),
        "spanId": row.get("SpanId"),
        "parentSpanId": row.get("ParentSpanId"),
        "name": row.get("SpanName"),
        "startTimeUnixNano": start,
        "endTimeUnixNano": None if start is None or lasted is None else start + lasted,
        "status": {
            "code": f"STATUS_CODE_{code.rpartition('_')[2].upper()}",
            "message": row.get("StatusMessage"),
        },
        "events": _events(row),
        "attributes": _map("SpanAttributes", row.get("SpanAttributes")),
    }
    return as_otlp, about


def _events(row: dict[str, Json]) -> list[dict[str, Json]]:
    names, times, about = (
        coerce.sequence(nested(row.get(f"Events.{part}")))
        for part in ("Name", "Timestamp", "Attributes")
    )
    events = [
        {"Name": name, "Timestamp": _nth(times, number), "Attributes": _nth(about, number)}
        for number, name in enumerate(names)
    ] or coerce.sequence(nested(row.get("Events")))
    return [
        {"name": event.get("Name"),
         "timeUnixNano": coerce.nanoseconds("event", event.get("Timestamp")),
         "attributes": _map("event", event.get("Attributes"))}
        for event in events if isinstance(event, dict)
    ]  # fmt: skip


def _nth(items: list[Json], number: int) -> Json:
    return items[number] if number < len(items) else None


def _map(name: str, value: Json) -> Attributes:
    value = nested(value)
    if value in (None, "", "{}"):
        return {}
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return dict(_pair(name, pair) for pair in value)
    return _of_clickhouse(name, value)


def _pair(name: str, pair: Json) -> tuple[str, Json]:
    if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
        return pair[0], pair[1]
    if isinstance(pair, dict) and isinstance(pair.get("key"), str):
        return pair["key"], pair.get("value")
    raise UnreadableError(f"{name}: expected a pair of a key and a value")


def _of_clickhouse(name: str, value: Json) -> Attributes:
    if not isinstance(value, str) or not (value.startswith("{") and value.endswith("}")):
        raise UnreadableError(f"{name}: expected a map, received {coerce.kind_of(value)}")
    found: Attributes = {}
    inner, place = value[1:-1], 0
    while place < len(inner):
        match = _PAIR.match(inner, place)
        if match is None:
            raise UnreadableError(f"{name}: no map of ClickHouse at character {place + 1}")
        found[_unescaped(match[1])] = _unescaped(match[2])
        place = match.end()
    return found


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _CONTROLS.get(match[1], match[1]), text)
