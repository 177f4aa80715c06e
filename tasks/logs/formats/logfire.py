"""Rows of Logfire's `records`, a span or log each: of its query API (rows, columns), CSV, Parquet.

`attributes`, `otel_events` and `otel_resource_attributes` are objects or their JSON text. A query
may leave columns out; others than Logfire's become tags. Every row becomes a span as OTLP has it.

Source: Logfire's SQL reference and query API.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.trace_reading import Item, SpanReader, read
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Dead, Json, Record, UnreadableError

NAME = "logfire"
VERSION = "logfire@2"

_SIGNS = ("trace_id", "start_timestamp", "otel_scope_name", "otel_status_code")
_RESOURCE = {
    "service_name": "service.name",
    "service_version": "service.version",
    "deployment_environment": "deployment.environment.name",
}
#: columns that say nothing about a call, or say again what others do
_NOT_TAGS = frozenset({
    "attributes", "attributes_json_schema", "attributes_reduced", "created_at", "day", "duration",
    "end_timestamp", "exception_message", "exception_stacktrace", "exception_type",
    "http_response_status_code", "is_exception", "kind", "level", "log_body", "message",
    "parent_span_id", "process_pid", "project_id", "service_instance_id", "service_namespace",
    "span_id", "span_name", "start_timestamp", "tags", "trace_id", *_RESOURCE,
})  # fmt: skip
_NOT_TAGS_BEGIN = ("otel_", "telemetry_sdk_", "url_", "http_", "_lf_")
_LEAST_ERROR = 17


def matches(value: Json) -> bool:
    rows = _rows_of(value)
    return any(map(_is_row, rows[:50])) if rows is not None else _is_row(value)


def records(value: Json) -> Iterator[Record]:
    rows = _rows_of(value)
    if rows is None:
        rows = [value]
    if not any(map(_is_row, rows)):
        raise UnreadableError("no row of Logfire's records is in it")
    yield from read(or_dead(row, _item, row) for row in rows)


def reader() -> SpanReader[Any]:
    """The rows of a trace stand in several values."""
    return SpanReader(span_of, records)


def span_of(value: Json) -> Item | None:
    item = or_dead(value, _item, value) if _is_row(value) else None
    return None if isinstance(item, Dead) else item


def _rows_of(value: Json) -> list[Json] | None:
    """Of an answer of the query API; None: it is none."""
    columns = coerce.first(value, "columns")
    if not isinstance(columns, list):
        return None
    rows = coerce.first(value, "rows")
    if isinstance(rows, list):
        return rows
    held = {
        each["name"]: each["values"] for each in columns
        if isinstance(each, dict) and isinstance(each.get("name"), str)
        and isinstance(each.get("values"), list)
    }  # fmt: skip
    if not held:
        return None
    num_rows = max(len(cells) for cells in held.values())
    return [
        {name: cells[number] for name, cells in held.items() if number < len(cells)}
        for number in range(num_rows)
    ]


def _is_row(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and "span_name" in value
        and "span_attributes" not in value  # AgentOps
        and isinstance(nested(value.get("attributes")), dict)
        and any(sign in value for sign in _SIGNS)
    )


def _item(row: Json) -> Item:
    row = {key: item for key, item in coerce.an_object(row).items() if item not in (None, "")}
    about = coerce.mapping(nested(row.get("otel_resource_attributes")))
    for column, name in _RESOURCE.items():
        if column in row:
            about = {name: row[column], **about}
    found = dict(coerce.mapping(nested(row.get("attributes"))))
    if "http_response_status_code" in row:
        found.setdefault("http.response.status_code", row["http_response_status_code"])
    if tags := nested(row.get("tags")):
        found.setdefault("logfire.tags", tags)
    if row.get("kind") == "pending_span":
        found["logfire.span_type"] = "pending_span"
    for column, item in row.items():
        if column not in _NOT_TAGS and not column.startswith(_NOT_TAGS_BEGIN):
            found.setdefault(column, item)
    start = coerce.nanoseconds("start_timestamp", row.get("start_timestamp"))
    end = coerce.nanoseconds("end_timestamp", row.get("end_timestamp"))
    lasted = coerce.times("duration", row.get("duration"), 10**9)
    if end is None and start is not None and lasted is not None:
        end = start + lasted
    as_otlp: dict[str, Json] = {
        "traceId": row.get("trace_id"),
        "spanId": row.get("span_id"),
        "parentSpanId": row.get("parent_span_id"),
        "name": row.get("span_name"),
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        "status": _status(row),
        "events": _events(row),
        "attributes": found,
    }
    return as_otlp, about


def _status(row: dict[str, Json]) -> Json:
    code = row.get("otel_status_code")
    if code is None and _is_error(row):
        code = "ERROR"
    message = coerce.first(row, "otel_status_message", "exception_message")
    return {"code": code and f"STATUS_CODE_{str(code).upper()}", "message": message}


def _is_error(row: dict[str, Json]) -> bool:
    """An exception that was caught leaves the level below that of errors."""
    if str(row.get("is_exception")).lower() not in ("true", "t", "1"):
        return False
    level = row.get("level", "error")
    if isinstance(level, int):
        return level >= _LEAST_ERROR
    return str(level).lower() in ("error", "fatal", "17", "21")


def _events(row: dict[str, Json]) -> list[dict[str, Json]]:
    events = [
        {"name": coerce.first(event, "event_name", "name"),
         "attributes": coerce.first(event, "attributes", "event_attributes"),
         "timeUnixNano": coerce.nanoseconds(
            "event", coerce.first(event, "event_timestamp", "timestamp"))}
        for event in coerce.sequence(nested(row.get("otel_events"))) if isinstance(event, dict)
    ]  # fmt: skip
    if row.get("exception_type") and not any(each["name"] == "exception" for each in events):
        raised: Attributes = {"exception.type": row["exception_type"]}
        events.append({"name": "exception", "attributes": raised, "timeUnixNano": None})
    return events
