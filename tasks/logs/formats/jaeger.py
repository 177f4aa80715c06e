"""Traces as Jaeger has them: JSON of its UI and API, and the spans of its Elasticsearch indices.

{"data": [trace]} or one trace: {"traceID", "spans": […], "processes": {"p1": …}}; a span of an
index has its `process` with it, and tags as a list, or as an object with @ for a dot. Times are in
microseconds. A trace frame of Grafana (its inspector) is nearly the same, in milliseconds, with
`serviceName` and `serviceTags`. Every span becomes one as OTLP has it.

Sources: Jaeger's model/json, OpenTelemetry's translation to Jaeger, Grafana's trace data frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.span_shapes import padded, status_of_tags
from tasks.logs.formats.trace_reading import Item, SpanReader, read
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import dead, or_dead
from tasks.logs.shapes.json_text import nested, parse
from tasks.logs.shapes.records import Dead, Json, Record, UnreadableError

NAME = "jaeger"
VERSION = "jaeger@1"

_MAX_DEPTH = 100


def matches(value: Json) -> bool:
    return _traces(value) is not None or _is_span(value)


def records(value: Json) -> Iterator[Record]:
    traces = _traces(value)
    if traces is not None:
        for trace in traces:
            yield from read(_items(trace))
    elif _is_span(value):
        yield from read([or_dead(value, _item, value, {})])
    else:
        raise UnreadableError("no span of Jaeger is in it")


def reader() -> SpanReader[Any]:
    """Of an index or a frame the spans of a trace stand in several values."""
    return SpanReader(span_of, records)


def span_of(value: Json) -> Item | None:
    if not _is_span(value):
        return None
    item = or_dead(value, _item, value, {})
    return None if isinstance(item, Dead) else item


def _traces(value: Json) -> list[Json] | None:
    found = coerce.first(value, "data")
    traces = found if isinstance(found, list) else [found or value]
    is_ours = any(
        isinstance(each, dict) and "traceID" in each and any(map(_is_span, _spans(each)))
        for each in traces
    )
    return traces if is_ours else None


def _spans(trace: Json) -> list[Json]:
    return coerce.sequence(coerce.first(trace, "spans"))


def _is_span(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and all(key in value for key in ("traceID", "spanID", "operationName", "startTime"))
        and any(key in value for key in ("tags", "tag"))
    )


def _items(trace: Json) -> Iterator[Item | Dead]:
    processes = coerce.mapping(coerce.first(trace, "processes"))
    for span in _spans(trace):
        if isinstance(span, dict):
            process = span.get("processID")
            around = processes.get(process) if isinstance(process, str) else None
            yield or_dead(span, _item, span, around)
        else:
            yield dead(span, f"a span: expected an object, received {coerce.kind_of(span)}")


def _item(span: dict[str, Json], process: Json) -> Item:
    process = coerce.first(span, "process") or process
    is_frame = "serviceName" in span
    per_unit = 1_000_000 if is_frame else 1_000
    about = _tags(span.get("serviceTags") if is_frame else coerce.first(process, "tags"))
    about.update(_fields(coerce.first(process, "tag")))
    service = coerce.first(span, "serviceName") or coerce.first(process, "serviceName")
    found = {**_tags(span.get("tags")), **_fields(span.get("tag"))}
    start = coerce.times("startTime", span.get("startTime"), per_unit)
    lasted = coerce.times("duration", span.get("duration"), per_unit)
    as_otlp: dict[str, Json] = {
        "traceId": padded(span.get("traceID"), 32),
        "spanId": padded(span.get("spanID"), 16),
        "parentSpanId": padded(_parent(span), 16),
        "name": span.get("operationName"),
        "startTimeUnixNano": start,
        "endTimeUnixNano": None if start is None or lasted is None else start + lasted,
        "status": status_of_tags(
            found, coerce.first(span, "statusCode"), coerce.first(span, "statusMessage")
        ),
        "events": [_event(log, per_unit) for log in coerce.sequence(nested(span.get("logs")))],
        "attributes": found,
    }
    return as_otlp, {**({"service.name": service} if service else {}), **about}


def _parent(span: dict[str, Json]) -> Json:
    references = [each for each in coerce.sequence(nested(span.get("references")))
                  if isinstance(each, dict)]  # fmt: skip
    child_of = [each for each in references if each.get("refType") == "CHILD_OF"]
    around = coerce.first(next(iter(child_of or references), None), "spanID")
    return coerce.first(span, "parentSpanID") or around


def _event(log: Json, per_unit: int) -> dict[str, Json]:
    about = _tags(coerce.first(log, "fields"))
    name = about.pop("event", None) or coerce.first(log, "name")
    return {
        "name": name,
        "attributes": about,
        "timeUnixNano": coerce.times("timestamp", coerce.first(log, "timestamp"), per_unit),
    }


def _tags(tags: Json) -> Attributes:
    found: Attributes = {}
    for tag in coerce.sequence(nested(tags)):
        if not isinstance(tag, dict) or not isinstance(tag.get("key"), str):
            raise UnreadableError("tags: an entry without a key")
        found[tag["key"]] = _typed(tag.get("type"), tag.get("value"))
    return found


def _typed(kind: Json, value: Json) -> Json:
    """Indices keep every value as text, with its type."""
    if not isinstance(value, str) or kind not in ("int64", "float64", "bool"):
        return value
    try:
        return parse(value.encode(), _MAX_DEPTH)
    except UnreadableError:
        return value


def _fields(tags: Json) -> Attributes:
    """Tags as fields of an index, whose names may hold no dot."""
    return {key.replace("@", "."): item for key, item in coerce.mapping(nested(tags)).items()}
