"""MLflow traces: as its client writes them, as its REST API answers, and rows of search_traces.

{"info", "data": {"spans"}} (Trace.to_json), trace artifacts ({"spans"}), {"trace_info", "spans"},
{"trace": …} and {"traces": […]} (REST), rows whose `trace` is JSON text. Ids are base64 or hex.
An assessment of the whole trace speaks of its last call. mlflow_call.py knows a span.

Source: mlflow.entities and MLflow's REST API.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tasks.logs.formats import mlflow_call, spans
from tasks.logs.formats.exchange import decode
from tasks.logs.formats.otlp_values import Attributes, attributes
from tasks.logs.formats.trace_reading import read
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import dead, or_dead
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Call, Dead, Feedback, Json, Record, UnreadableError

NAME = "mlflow"
VERSION = "mlflow@4"

#: of a trace's metadata or tags
_TOLD = (mlflow_call.SESSION, mlflow_call.USER, mlflow_call.PROMPTS)


def matches(value: Json) -> bool:
    return any(_is_trace(trace) for trace in _traces(value)[:20])


def records(value: Json) -> Iterator[Record]:
    traces = _traces(value)
    if not any(isinstance(_spans(trace), list) for trace in traces):
        raise UnreadableError("no spans of an MLflow trace are in it")
    for trace in traces:
        yield from _of_trace(trace)


def _traces(value: Json) -> list[Json]:
    """A row of a data frame has the whole trace as JSON text beside its columns."""
    if not isinstance(value, dict):
        return []
    several = value.get("traces")
    if isinstance(several, list):
        return [trace for each in several for trace in _traces(each)]
    whole = nested(value.get("trace"))
    return [whole if isinstance(whole, dict) and _spans(whole) is not None else value]


def _is_trace(trace: Json) -> bool:
    recorded = _spans(trace)
    first = recorded[0] if recorded else None
    if not isinstance(first, dict):
        return False
    if isinstance(coerce.first(trace, "info", "trace_info"), dict):
        return True
    try:
        return any(key.startswith("mlflow.") for key in attributes(first.get("attributes")))
    except UnreadableError:
        return False


def _spans(trace: Json) -> list[Json] | None:
    if not isinstance(trace, dict):
        return None
    recorded = nested(coerce.first(decode(trace.get("data", trace)), "spans"))
    return recorded if isinstance(recorded, list) else None


def _of_trace(trace: Json) -> Iterator[Record]:
    recorded = _spans(trace)
    if recorded is None:
        yield dead(trace, "a trace without spans")
        return
    info = coerce.first(trace, "info", "trace_info") or trace
    about = _told_of(info)
    items = [
        (span, about) if isinstance(span, dict)
        else dead(span, f"a span: expected an object, received {coerce.kind_of(span)}")
        for span in recorded
    ]  # fmt: skip
    read_so_far = list(read(items))
    calls = [record for record in read_so_far if isinstance(record, Call)]
    yield from (record for record in read_so_far if not isinstance(record, Call))
    yield from _with_feedback(calls, nested(coerce.first(info, "assessments")))


def _told_of(info: Json) -> Attributes:
    """Metadata and tags that say something about every call; REST has them as pairs."""
    told: Attributes = {}
    for key in ("tags", "request_metadata", "trace_metadata"):
        found = nested(coerce.first(info, key))
        if isinstance(found, list):
            found = {str(coerce.first(pair, "key")): coerce.first(pair, "value") for pair in found}
        told.update((name, item) for name, item in coerce.mapping(found).items() if name in _TOLD)
    return told


def _with_feedback(calls: list[Call], assessments: Json) -> Iterator[Record]:
    given: dict[int, list[Feedback]] = {}
    ids = [(call.request_id or "").rpartition(":")[2] for call in calls]
    for item in coerce.sequence(assessments):
        if not isinstance(item, dict):
            yield dead(item, "an assessment that is no object")
        elif calls and item.get("valid") is not False:  # one that another took the place of
            signal = or_dead(item, _assessment, item)
            if isinstance(signal, Dead):
                yield signal
                continue
            own = spans.hex_id(item.get("span_id"))
            given.setdefault(ids.index(own) if own in ids else len(calls) - 1, []).append(signal)
    for number, call in enumerate(calls):
        yield replace(call, feedback=(*call.feedback, *given.get(number, ())))


def _assessment(item: dict[str, Json]) -> Feedback:
    holder: Any = item.get("feedback") or item.get("expectation") or {}
    value = coerce.first(holder, "value")
    if value is None:  # of a value that is no number or text
        value = coerce.first(coerce.first(holder, "serialized_value"), "value")
    source = item.get("source")
    words = value if isinstance(value, str) else None
    corrected = words if "expectation" in item else None
    reason = coerce.text("rationale", item.get("rationale"))
    return Feedback(
        kind=coerce.text("name", item.get("assessment_name", item.get("name"))) or "evaluation",
        value=float(value) if isinstance(value, bool | int | float) else None,
        comment=reason or (None if corrected else words),
        corrected=corrected,
        given_at=coerce.moment("create_time", item.get("create_time")),
        by=coerce.text("source_id", source.get("source_id")) if isinstance(source, dict) else None,
    )
