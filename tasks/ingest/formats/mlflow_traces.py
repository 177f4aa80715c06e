"""MLflow traces: {"info", "data": {"spans"}}, of today's schema and of the one before 3.0.

Span ids are base64 of bytes; attribute values are JSON as text, and texts in them JSON once more.
Only spans of the types LLM, CHAT_MODEL and EMBEDDING are calls; assessments are feedback on the
trace's call, if it has one. Source: MLflow's entities Trace and Span, and its span attributes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from tasks.ingest import coerce
from tasks.ingest.formats import bodies, loose
from tasks.ingest.json_text import dump_bytes
from tasks.ingest.records import Call, Dead, Feedback, Json, Other, Record, UnreadableError

NAME = "mlflow"
VERSION = "mlflow@1"

_CALLS = {"LLM": "chat", "CHAT_MODEL": "chat", "EMBEDDING": "embeddings"}
_TOKENS = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
    "cached_tokens": ("cache_read_input_tokens",),
}
_ASKED = frozenset({"messages", "model", "input", "prompt", "contents", "system"})


def matches(value: Json) -> bool:
    return isinstance(value, dict) and isinstance(value.get("info"), dict) and bool(_spans(value))


def _spans(value: dict[str, Json]) -> list[Json]:
    data = bodies.decode(value.get("data"))
    found = data.get("spans") if isinstance(data, dict) else None
    return found if isinstance(found, list) else []


def records(value: Json) -> Iterator[Record]:
    if not matches(value):
        raise UnreadableError("no trace with info and data.spans")
    info = value["info"]
    calls: list[Call] = []
    for span in _spans(value):
        if not isinstance(span, dict):
            yield Dead("a span that is no object", dump_bytes(span))
            continue
        found = {key: _opened(item) for key, item in _object(span.get("attributes")).items()}
        operation = _CALLS.get(str(found.get("mlflow.spanType", span.get("span_type"))))
        if operation is None:
            yield Other()
            continue
        try:
            calls.append(_call(span, found, info, operation))
        except UnreadableError as error:
            yield Dead(str(error), dump_bytes(span))
            continue
        yield calls[-1]
    judged = info.get("assessments")
    for assessment in judged if isinstance(judged, list) else []:
        yield _feedback(assessment, calls)


def _object(value: Json) -> dict[str, Json]:
    found = bodies.decode(value)
    return found if isinstance(found, dict) else {}


def _opened(value: Json) -> Json:
    """JSON text, once or twice."""
    for _ in range(2):
        if isinstance(value, str) and value[:1] == '"' and value[-1:] == '"' and len(value) > 1:
            inner = bodies.decode(f"[{value}]")
            value = inner[0] if isinstance(inner, list) else value[1:-1]
        else:
            value = bodies.decode(value)
    return value


def _call(
    span: dict[str, Json], found: dict[str, Json], info: dict[str, Json], operation: str
) -> Call:
    inputs = found.get("mlflow.spanInputs", span.get("inputs"))
    answer = loose.read_answer(found.get("mlflow.spanOutputs", span.get("outputs")))
    asked = inputs if isinstance(inputs, dict) else {}
    used = {**answer.tokens, **_tokens(found.get("mlflow.chat.tokenUsage"))}
    started = _time(span, "start_time_unix_nano", "start_time", "start_time_ns")
    ended = _time(span, "end_time_unix_nano", "end_time", "end_time_ns")
    status = span.get("status")
    code = status.get("code") if isinstance(status, dict) else span.get("status_code", status)
    failed = code in (2, "ERROR", "STATUS_CODE_ERROR")
    metadata = _object(info.get("trace_metadata", info.get("request_metadata")))
    message = answer.message
    model = found.get("mlflow.llm.model") or asked.get("model") or answer.model
    return Call(
        request_id=_span_id(span),
        started_at=started,
        latency_s=(ended - started).total_seconds() if started and ended else None,
        provider=coerce.text("provider", found.get("mlflow.llm.provider")),
        model=coerce.text("model", model),
        session_id=coerce.text("session", metadata.get("mlflow.trace.session")),
        user=coerce.text("user", metadata.get("mlflow.trace.user")),
        operation=operation,
        messages=loose.read_messages(inputs),
        response=message,
        tool_calls=message.get("tool_calls") if message else None,
        finish_reason=answer.finish_reason,
        params={k: v for k, v in asked.items() if k not in _ASKED} or None,
        **used,
        status="error" if failed else "ok",
        error_type="error" if failed else None,
        tags=_tags(span, info, status),
    )


def _tokens(usage: Json) -> dict[str, int | None]:
    if not isinstance(usage, dict):
        return {}
    return {
        ours: coerce.integer(ours, next((usage[n] for n in theirs if n in usage), None))
        for ours, theirs in _TOKENS.items()
    }


def _time(span: dict[str, Json], *names: str) -> Json:
    value = next((span[name] for name in names if span.get(name)), None)
    return coerce.moment(names[0], value)


def _span_id(span: dict[str, Json]) -> str | None:
    context = _object(span.get("context"))
    trace = span.get("trace_id", context.get("trace_id"))
    own = span.get("span_id", context.get("span_id"))
    if not isinstance(trace, str) or not isinstance(own, str):
        return None
    return f"{_hex(trace, 16)}:{_hex(own, 8)}"


def _hex(text: str, size: int) -> str:
    """Base64 of `size` bytes as hexadecimal digits; anything else as it is."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text
    return raw.hex() if len(raw) == size else text


def _tags(span: dict[str, Json], info: dict[str, Json], status: Json) -> dict[str, Json]:
    tags = {
        "span_name": span.get("name"),
        "trace_id": info.get("trace_id", info.get("request_id")),
        "status_message": status.get("message") if isinstance(status, dict) else None,
        "tags": _object(info.get("tags")),
    }
    return {name: value for name, value in tags.items() if value}


def _feedback(item: Json, calls: list[Call]) -> Record:
    """A judgement of a span, or of the trace if that has one call."""
    if not isinstance(item, dict):
        return Dead("an assessment that is no object", dump_bytes(item))
    wanted = item.get("span_id")
    named = [c.request_id for c in calls if c.request_id]
    if isinstance(wanted, str):
        own = _hex(wanted, 8)
        named = [name for name in named if name.rpartition(":")[2] == own]
    if len(named) != 1:
        return Other()
    said = item.get("feedback", item.get("expectation"))
    value = said.get("value") if isinstance(said, dict) else None
    try:
        number = coerce.number("value", float(value) if isinstance(value, bool) else value)
    except UnreadableError:
        number = None  # a word: it stays in the comment
    comment = item.get("rationale") or (value if isinstance(value, str) else None)
    source = item.get("source")
    return Feedback(
        kind=coerce.text("name", item.get("assessment_name", item.get("name"))) or "assessment",
        request_id=named[0],
        value=number,
        comment=coerce.text("rationale", comment),
        given_at=coerce.moment("create_time", item.get("create_time")),
        by=coerce.text("by", source.get("source_id")) if isinstance(source, dict) else None,
    )
