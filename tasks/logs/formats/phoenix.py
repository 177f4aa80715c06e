"""Phoenix: rows of its data frames of spans and annotations, and pages of its REST API.

A data frame has a column an attribute (`attributes.llm.input_messages`), with lists of objects in
it, flat or nested; saved as JSON lines its times are milliseconds. The reading of the attributes is
openinference_call.py's. Only spans of kind LLM are calls, of two around one API call the inner.
Annotations and columns `eval.NAME.score` are feedback. Source: Phoenix's client and its REST API.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.logs.formats import openinference_call
from tasks.logs.formats.exchange import an_object, decode
from tasks.logs.formats.openinference_call import KIND
from tasks.logs.formats.otlp_values import Attributes, attributes
from tasks.logs.formats.traces import Role, Row, Signal, Traces
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Call, Feedback, Json, Record, UnreadableError

NAME = "phoenix"
VERSION = "phoenix@2"

_PREFIX = "attributes."
_EVALUATION = "eval."
#: lists of objects, which a table may have as JSON text
_LISTS = frozenset({"llm.input_messages", "llm.output_messages", "llm.tools", "llm.prompts",
                    "llm.choices"})  # fmt: skip
_VERDICT = ("score", "label", "explanation")


def _rows(value: Json) -> list[Json]:
    if not isinstance(value, dict):
        return []
    if _is_span(value) or _is_of_api(value) or _is_annotation(value):
        return [value]
    for name in ("data", "spans"):
        page = coerce.sequence(value.get(name))
        if any(_is_of_api(item) or _is_annotation(item) for item in page):
            return page
    return []


def _is_span(value: dict[str, Json]) -> bool:
    """A row of a data frame, or of Phoenix's own database with the attributes as text."""
    if "context.span_id" not in value and "context.trace_id" not in value:
        told = value.get("attributes")
        return "span_kind" in value and isinstance(told, str) and '"openinference"' in told
    kind = f"{_PREFIX}{KIND}"
    return "span_kind" in value or kind in value or "attributes.openinference" in value


def _is_of_api(value: Json) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("attributes"), dict):
        return False
    return "span_kind" in value and isinstance(value.get("context"), dict)


def _is_annotation(value: Json) -> bool:
    """Of `get_span_annotations_dataframe` and the API, or a data frame of evaluations."""
    if not isinstance(value, dict):
        return False
    if "annotator_kind" in value and ("span_id" in value or "context.span_id" in value):
        return True
    judged = any(name in value for name in _VERDICT)
    return judged and "context.span_id" in value and not _is_span(value)


def _id(row: Row, name: str) -> str:
    context = coerce.mapping(row.get("context"))
    own = coerce.first(row, f"context.{name}", name) or context.get(name)
    return own if isinstance(own, str) else ""


def _key(row: Row) -> tuple[str, str] | None:
    if _is_annotation(row) or not (_is_span(row) or _is_of_api(row)):
        return None
    return _id(row, "trace_id"), _id(row, "span_id")


def _parent(row: Row) -> Json:
    return row.get("parent_id")


def _role(row: Row) -> Role:
    kind = coerce.first(row, f"{_PREFIX}{KIND}", "span_kind")
    attrs = _attributes(row) if kind is None else {KIND: kind}
    if openinference_call.is_call(attrs):
        return "call"
    return "plain" if str(attrs.get(KIND)).upper() == "CHAIN" else "other"


def _attributes(row: Row) -> Attributes:
    """As one flat object, whichever way the table has them. What is null is not there."""
    nested: dict[str, Json] = {}
    for column, value in row.items():
        name = column.removeprefix(_PREFIX)
        if name == column or value is None:
            continue
        head, _, rest = name.partition(".")
        held = decode(value) if name in _LISTS else value
        if rest:
            inner = nested.get(head)
            nested[head] = {**(inner if isinstance(inner, dict) else {}), rest: held}
        else:
            nested[head] = held
    told = decode(row.get("attributes"))
    attrs = attributes({**coerce.mapping(told), **nested})
    attrs = {key: value for key, value in attrs.items() if value is not None}
    if row.get("span_kind") is not None:
        attrs.setdefault(KIND, row["span_kind"])
    return attrs


def _call(row: Row, around: list[Row]) -> Call:
    status = {"code": f"STATUS_CODE_{str(row.get('status_code') or 'UNSET').upper()}",
              "message": row.get("status_message")}  # fmt: skip
    events = [{**event, "timeUnixNano": None} if isinstance(event, dict) else event
              for event in coerce.sequence(decode(row.get("events")))]  # fmt: skip
    span: Row = {
        "traceId": _id(row, "trace_id"), "spanId": _id(row, "span_id"), "name": row.get("name"),
        "parentSpanId": row.get("parent_id"), "status": status, "events": events,
    }  # fmt: skip
    (call,) = openinference_call.from_span(span, _attributes(row), {})
    if not isinstance(call, Call):
        raise UnreadableError("a span of another kind")
    started = coerce.moment("start_time", row.get("start_time"))
    ended = coerce.moment("end_time", row.get("end_time"))
    latency = (ended - started).total_seconds() if ended and started else None
    return replace(call, started_at=started, latency_s=latency)


def _signals(row: Row) -> Iterator[Signal]:
    for item in coerce.sequence(decode(row.get("annotations"))):
        if isinstance(item, dict):
            yield item, _annotation, None
    judged: dict[str, Row] = {}
    for column, value in row.items():
        name, _, what = column.removeprefix(_EVALUATION).rpartition(".")
        if column.startswith(_EVALUATION) and what in _VERDICT and value is not None:
            judged.setdefault(name, {"name": name})[what] = value
    for item in judged.values():
        yield item, _annotation, None


def _annotation(item: Json) -> Feedback:
    """The label of a score is a comment where nothing is explained."""
    result = an_object(item.get("result"))
    told = {name: coerce.first(item, name, f"result.{name}") for name in _VERDICT}
    told = {name: result.get(name) if said is None else said for name, said in told.items()}
    label = coerce.text("label", told["label"])
    kind = coerce.text("name", coerce.first(item, "annotation_name", "name"))
    return Feedback(
        kind=kind or "evaluation",
        value=coerce.number("score", told["score"]),
        comment=coerce.text("explanation", told["explanation"]) or label,
        given_at=coerce.moment("created_at", item.get("created_at")),
        by=coerce.text("user_id", coerce.first(item, "user_id", "identifier")),
    )


def _alone(row: Row) -> Iterator[Record]:
    """An annotation in a table of its own names its span, not the trace: no call has that id."""
    if not _is_annotation(row):
        raise UnreadableError("neither a span nor an annotation of Phoenix")
    own, trace = _id(row, "span_id"), _id(row, "trace_id")
    if not own:
        raise UnreadableError("an annotation without a span: it speaks of no call")
    yield replace(_annotation(row), request_id=f"{trace}:{own}" if trace else own)


_TRACES = Traces(NAME, VERSION, _rows, _key, _parent, _role, _call, _signals, _alone)
matches, records, reader = _TRACES.matches, _TRACES.records, _TRACES.reader
