"""Spans and log records as SDKs and tables write them → the ones that the OTLP reading takes.

OTLP JSON has camelCase names and attributes as a list. Others have:
- the Python SDK's to_json, Phoenix, MLflow: snake_case, a `context`, times as ISO text or
  nanoseconds, attributes as an object (Phoenix: nested); PHP's console exporter: `start`, `end`;
- the JavaScript SDK: `id`, `timestamp` and `duration` in microseconds on its console, and
  [seconds, nanoseconds] where a span itself is written down;
- Go's stdouttrace: `SpanContext`, attributes as {"Key", "Value": {"Type", "Value"}};
- tables (BigQuery, Databricks): snake_case columns, attributes as JSON text.
Sources: OTLP's JSON mapping and the exporters of each SDK.
"""

from __future__ import annotations

from typing import Any

from tasks.logs.formats.otlp_values import Attributes, attributes
from tasks.logs.shapes import coerce
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Json, UnreadableError

_OPENINFERENCE = "openinference.span.kind"
_IDS = ("spanId", "span_id", "startTimeUnixNano")
_CONTEXTS = ("context", "spanContext", "_spanContext")
_MORE_SIGNS = ("kind", "span_kind", "status", "status_code", "events", "startTimeUnixNano")
_PARENTS = ("parentSpanId", "parent_span_id", "parent_id", "parentId")
_TIMES = {
    "startTimeUnixNano": (
        "start_time_unix_nano", "start_time", "start_time_ns", "start", "startTime",
    ),
    "endTimeUnixNano": ("end_time_unix_nano", "end_time", "end_time_ns", "end", "endTime"),
}  # fmt: skip
_EVENT_TIMES = ("timeUnixNano", "time_unix_nano", "timestamp", "time", "Time")
#: columns that a table may hold as JSON text
_NESTED = ("attributes", "events", "status", "resource")
#: of 1973; a smaller number is of another unit
_LEAST_NANOSECONDS = 10**17
_HEX = frozenset("0123456789abcdef")
_ANY_VALUES = frozenset({
    "stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "kvlistValue",
    "bytesValue", "string_value", "int_value", "double_value", "bool_value", "array_value",
    "kvlist_value", "bytes_value",
})  # fmt: skip


def is_span(value: Json) -> bool:
    """One bare span; the names alone would also fit other records, so several must be there."""
    if not isinstance(value, dict):
        return False
    if _is_go(value):
        return True
    found = value.get("attributes")
    if isinstance(found, dict) and _OPENINFERENCE in found:
        return True
    if not isinstance(found, list | dict) and not _is_object_text(found):
        return False
    told = any(key in value for key in _IDS) or ("id" in value and "traceId" in value)
    told = told or any(isinstance(value.get(key), dict) for key in _CONTEXTS)
    told = told or str(value.get("kind")).startswith(("SPAN_KIND_", "SpanKind."))
    return isinstance(value.get("name"), str) and told and any(key in value for key in _MORE_SIGNS)


def is_log(value: Json) -> bool:
    """A log record as the Python SDK's console exporter prints it."""
    return isinstance(value, dict) and all(
        key in value for key in ("body", "severity_number", "attributes", "trace_id", "span_id")
    )


def to_otlp(span: dict[str, Json]) -> dict[str, Json]:
    """Names as OTLP has them; attributes may stay an object. An OTLP span comes back as it is."""
    if "spanId" in span or "startTimeUnixNano" in span:
        return span
    if _is_go(span):
        return _of_go(span)
    span = {**span, **{key: nested(span[key]) for key in _NESTED if key in span}}
    context = next((span[key] for key in _CONTEXTS if isinstance(span.get(key), dict)), span)
    around = coerce.first(span, "parentSpanContext", "parent")
    start, end = (_nanoseconds(name, coerce.first(span, *_TIMES[name])) for name in _TIMES)
    if start is None and "timestamp" in span:
        start = coerce.times("timestamp", span["timestamp"], 1000)
        end = start and start + (coerce.times("duration", span.get("duration"), 1000) or 0)
    if end is None and isinstance(start, int) and span.get("duration_nano") is not None:
        end = start + (coerce.integer("duration_nano", span["duration_nano"]) or 0)
    named: dict[str, Json] = {
        **span,
        "traceId": coerce.first(context, "trace_id", "traceId"),
        "spanId": coerce.first(context, "span_id", "spanId", "id"),
        "parentSpanId": coerce.first(span, *_PARENTS) or coerce.first(around, "span_id", "spanId"),
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        "status": _status(span),
    }
    if isinstance(span.get("events"), list):
        named["events"] = [_timed(event) for event in span["events"]]
    return named


def log_to_otlp(log: dict[str, Json]) -> dict[str, Json]:
    """Names as OTLP has them; body and attributes stay plain values."""
    return {
        **log,
        "traceId": log.get("trace_id"),
        "spanId": log.get("span_id"),
        "timeUnixNano": _nanoseconds("timestamp", log.get("timestamp")),
    }


def is_any_value(value: Json) -> bool:
    """Whether a value of a log record is tagged, as OTLP has it, or plain."""
    return isinstance(value, dict) and len(value) <= 1 and _ANY_VALUES.issuperset(value)


def resource_of(span: dict[str, Json]) -> Attributes:
    """Attributes of the resource that a bare span brings along."""
    resource = nested(coerce.first(span, "resource", "Resource"))
    if isinstance(resource, list):  # Go
        return _of_go_pairs(resource)
    if not isinstance(resource, dict):
        return {}
    found = coerce.first(resource, "attributes", "_attributes")
    raw = resource.get("_rawAttributes")
    if isinstance(raw, list):  # JavaScript: [name, value]
        found = {str(pair[0]): pair[1] for pair in raw if isinstance(pair, list) and len(pair) == 2}
    # PHP writes the attributes themselves
    return attributes(nested(found) if found is not None else {
        key: item for key, item in resource.items() if "." in key
    })  # fmt: skip


def _is_object_text(value: Json) -> bool:
    return isinstance(value, str) and value.startswith("{")


def _is_go(value: dict[str, Json]) -> bool:
    return isinstance(value.get("SpanContext"), dict) and "StartTime" in value


def _of_go(span: dict[str, Json]) -> dict[str, Json]:
    events = [
        {"name": event.get("Name"), "attributes": _of_go_pairs(event.get("Attributes")),
         "timeUnixNano": _nanoseconds("event", event.get("Time"))}
        if isinstance(event, dict) else event
        for event in coerce.sequence(span.get("Events"))
    ]  # fmt: skip
    status = coerce.mapping(span.get("Status"))
    return {
        "name": span.get("Name"),
        "traceId": span["SpanContext"].get("TraceID"),
        "spanId": span["SpanContext"].get("SpanID"),
        "parentSpanId": coerce.first(span.get("Parent"), "SpanID"),
        "startTimeUnixNano": _nanoseconds("StartTime", span.get("StartTime")),
        "endTimeUnixNano": _nanoseconds("EndTime", span.get("EndTime")),
        "attributes": _of_go_pairs(span.get("Attributes")),
        "events": events,
        "status": {"code": _code(status.get("Code")), "message": status.get("Description")},
    }


def _of_go_pairs(pairs: Json) -> Attributes:
    """[{"Key", "Value": {"Type", "Value"}}] → name → value."""
    found: Attributes = {}
    for pair in coerce.sequence(pairs):
        if not isinstance(pair, dict) or not isinstance(pair.get("Key"), str):
            raise UnreadableError("attributes: an entry without a Key")
        value = pair.get("Value")
        found[pair["Key"]] = value.get("Value") if isinstance(value, dict) else value
    return found


def _timed(event: Json) -> Json:
    if not isinstance(event, dict):
        return event
    return {**event, "timeUnixNano": _nanoseconds("event", coerce.first(event, *_EVENT_TIMES))}


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
    """ISO text, [seconds, nanoseconds] or an epoch, whose size tells its unit, as nanoseconds."""
    if isinstance(value, list) and len(value) == 2:
        seconds, rest = (coerce.integer(name, part) for part in value)
        return (seconds or 0) * 1_000_000_000 + (rest or 0)
    number = coerce.integer(name, value) if isinstance(value, int) or _is_digits(value) else None
    if number is not None and (number >= _LEAST_NANOSECONDS or not number):
        return number
    return coerce.nanoseconds(name, value)


def _is_digits(value: Json) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()


def padded(value: Json, num_digits: int) -> Json:
    """An id of Jaeger or Zipkin, which may have half the digits, or lack zeros before them."""
    is_hex = isinstance(value, str) and value and _HEX.issuperset(value.lower())
    return value.zfill(num_digits) if is_hex else value


def status_of_tags(tags: Attributes, code: Json = None, message: Json = None) -> Json:
    """Takes what Jaeger and Zipkin keep of a span beside its attributes out of them.

    An `error` may be true, or the text of what went wrong.
    """
    for name in ("span.kind", "internal.span.format", "otel.scope.name", "otel.scope.version",
                 "otel.library.name", "otel.library.version"):  # fmt: skip
        tags.pop(name, None)
    told = tags.pop("otel.status_code", None) or code
    said = tags.pop("otel.status_description", None) or message
    error = tags.pop("error", None) if isinstance(tags.get("error"), str | bool) else None
    if isinstance(error, str) and error.lower() not in ("true", "false", ""):
        said, error = said or error, True
    failed = error is True or (isinstance(error, str) and error.lower() == "true")
    if told in (None, "", 0) and failed:
        told = "ERROR"
    return {"code": _code(told), "message": said}
