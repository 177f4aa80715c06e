"""MLflow traces: {"info", "data": {"spans"}} as Trace.to_json writes them, and trace artifacts.

Span ids are base64 (schema 3) or hex (schema 2); every attribute is JSON text, and what it holds
may be JSON text again. Spans of type LLM and CHAT_MODEL are calls, of two around one API call the
inner. An assessment of the whole trace speaks of its last call. Source: mlflow.entities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tasks.logs.formats import otlp_call, span_shapes, spans
from tasks.logs.formats.exchange import decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.dead import dead, or_dead
from tasks.logs.shapes.json_text import nested, parse
from tasks.logs.shapes.records import Call, Dead, Feedback, Json, Other, Record, UnreadableError

NAME = "mlflow"
VERSION = "mlflow@3"

_CALLS = ("LLM", "CHAT_MODEL")
_MAX_DEPTH = 100
_NOT_PARAMS = frozenset({"messages", "input", "prompt", "model", "contents", "system"})
_NOT_TAGS = ("mlflow.", "model", "temperature", "max_tokens")


def matches(value: Json) -> bool:
    recorded = _spans(value)
    first = recorded[0] if recorded else None
    if not isinstance(first, dict):
        return False
    if isinstance(value, dict) and isinstance(value.get("info"), dict) and "data" in value:
        return True
    keys = first.get("attributes")
    return isinstance(keys, dict) and any(str(key).startswith("mlflow.") for key in keys)


def records(value: Json) -> Iterator[Record]:
    recorded = _spans(value)
    if recorded is None or not isinstance(value, dict):
        raise UnreadableError("no spans of an MLflow trace are in it")
    about = coerce.mapping(value.get("info"))
    read: list[tuple[dict[str, Json], dict[str, Json]]] = []
    for item in recorded:
        if not isinstance(item, dict):
            yield dead(item, f"a span: expected an object, received {coerce.kind_of(item)}")
            continue
        span = span_shapes.to_otlp(item)
        given = coerce.mapping(span.get("attributes"))
        read.append((span, {key: _value(text) for key, text in given.items()}))
    pairs_of_ids = [(spans.span_id(span), spans.parent_id(span))
                    for span, given in read if _is_call(given)]  # fmt: skip
    outer = spans.wrapping(pairs_of_ids)
    calls: list[Call] = []
    for span, given in read:
        if not _is_call(given) or spans.span_id(span) in outer:
            yield Other()
            continue
        call = or_dead(span, _call, span, given, about)
        if isinstance(call, Dead):
            yield call
        else:
            calls.append(call)
    yield from _with_feedback(calls, about.get("assessments", value.get("assessments")))


def _spans(value: Json) -> list[Json] | None:
    if not isinstance(value, dict):
        return None
    recorded = coerce.first(decode(value.get("data", value)), "spans")
    return recorded if isinstance(recorded, list) else None


def _is_call(given: dict[str, Json]) -> bool:
    return given.get("mlflow.spanType") in _CALLS


def _value(text: Json) -> Json:
    """JSON text, twice where there is text inside the text; what is no JSON stays."""
    try:
        return nested(parse(text.encode(), _MAX_DEPTH)) if isinstance(text, str) else text
    except UnreadableError:
        return text


def _call(span: dict[str, Json], given: dict[str, Json], about: dict[str, Json]) -> Call:
    inputs = coerce.mapping(given.get("mlflow.spanInputs"))
    tags: dict[str, Json] = {"span_name": span.get("name")}
    started, latency = spans.read_times(span, tags)
    events = spans.read_events(span.get("events"))
    error = otlp_call.error_of({}, events, span.get("status"), tags)
    answer = read_output(given.get("mlflow.spanOutputs"))
    model = given.get("mlflow.llm.model") or answer.model or given.get("model")
    params = {key: item for key, item in inputs.items() if key not in _NOT_PARAMS}
    if given.get("mlflow.chat.tools") is not None:
        params["tools"] = given["mlflow.chat.tools"]
    metadata = coerce.mapping(coerce.first(about, "trace_metadata", "request_metadata"))
    prompt = next(iter(coerce.sequence(given.get("mlflow.linkedPrompts"))), None)
    tags.update((key, item) for key, item in given.items() if not key.startswith(_NOT_TAGS))
    call = Call(
        request_id=spans.span_id(span),
        started_at=started,
        latency_s=latency,
        provider=coerce.text("provider", given.get("mlflow.llm.provider")),
        model=coerce.text("model", model or inputs.get("model")),
        prompt_name=coerce.text("prompt", coerce.first(prompt, "name")),
        prompt_version=coerce.text("version", coerce.first(prompt, "version")),
        session_id=coerce.text("session", metadata.get("mlflow.trace.session")),
        user=coerce.text("user", metadata.get("mlflow.trace.user")),
        operation="chat",
        messages=read_input(given.get("mlflow.spanInputs")),
        params=params or None,
        **usage.tokens(given.get("mlflow.chat.tokenUsage")),
        cost_usd=coerce.number("cost", coerce.first(given.get("mlflow.llm.cost"), "total_cost")),
        tags={key: item for key, item in tags.items() if item is not None},
    )
    return finish(call, answer, error=error)


def _with_feedback(calls: list[Call], assessments: Json) -> Iterator[Record]:
    given: dict[int, list[Feedback]] = {}
    ids = [(call.request_id or "").rpartition(":")[2] for call in calls]
    for item in coerce.sequence(assessments):
        if not isinstance(item, dict):
            yield dead(item, "an assessment that is no object")
        elif calls:
            signal = or_dead(item, _assessment, item)
            if isinstance(signal, Dead):
                yield signal
                continue
            own = spans.hex_id(item.get("span_id"))
            given.setdefault(ids.index(own) if own in ids else len(calls) - 1, []).append(signal)
    for number, call in enumerate(calls):
        yield replace(call, feedback=tuple(given.get(number, ())))


def _assessment(item: dict[str, Json]) -> Feedback:
    holder: Any = item.get("feedback") or item.get("expectation") or {}
    value = coerce.first(holder, "value")
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
