"""Spans of Datadog's LLM Observability: pages of its export API, and what its SDKs send.

A page {"data": [{"type": "span", "attributes"}]}, a resource or the attributes of one, a body of
the intake ({"data": {"attributes": {"spans"}}} or {"event_type": "span", "spans"}) or one of its
spans, whose kind, input and output stand in `meta`. Evaluations become feedback. Every span
becomes one as OTLP has it.

Source: Datadog's export API and HTTP API reference, and ddtrace.llmobs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.trace_reading import Item, SpanReader, read
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import dump, nested
from tasks.logs.shapes.messages import tool_call
from tasks.logs.shapes.records import Dead, Json, Record, UnreadableError

NAME = "datadog"
VERSION = "datadog@2"

_OPERATIONS = {
    "llm": "chat", "embedding": "embeddings", "tool": "execute_tool", "agent": "invoke_agent",
    "workflow": "workflow", "task": "task", "retrieval": "retrieval",
}  # fmt: skip
_PARAMS = (
    "temperature", "top_p", "top_k", "seed", "max_tokens", "stop_sequences", "frequency_penalty",
    "presence_penalty", "stream",
)  # fmt: skip
#: of a tag `name:value`
_SESSION, _RELEASE = ("session_id",), ("version",)
_USER = ("user_id", "usr.id", "user.id", "user_handle")
#: both SDKs' spelling of what stands in a span
_SIGNS = ("span_id", "spanId")
#: in nanoseconds or milliseconds: the size tells
_STARTS = ("start_ns", "startNs", "start_ms", "startMs")
_NANO = 1e-9


def matches(value: Json) -> bool:
    return any(_is_span(span) for span, _ in _spans_of(value)[:50])


def records(value: Json) -> Iterator[Record]:
    found = _spans_of(value)
    if not any(_is_span(span) for span, _ in found):
        raise UnreadableError("no span of LLM Observability is in it")
    yield from read(or_dead(span, _item, span, shared) for span, shared in found)


def reader() -> SpanReader[Any]:
    """The spans of a trace may stand in several values."""
    return SpanReader(span_of, records)


def span_of(value: Json) -> Item | None:
    found = _spans_of(value)
    if len(found) != 1 or not _is_span(found[0][0]):
        return None
    item = or_dead(value, _item, *found[0])
    return None if isinstance(item, Dead) else item


def _spans_of(value: Json) -> list[tuple[Json, dict[str, Json]]]:
    """Every span with what its body says of all."""
    if not isinstance(value, dict):
        return []
    inner = value.get("data")
    if isinstance(inner, list):
        return [pair for each in inner for pair in _spans_of(each)]
    if isinstance(inner, dict):
        return _spans_of(inner)
    about = value.get("attributes")
    if isinstance(about, dict) and value.get("type") in ("span", "spans"):
        return _spans_of(about)
    spans = value.get("spans")
    return [(span, value) for span in spans] if isinstance(spans, list) else [(value, {})]


def _is_span(span: Json) -> bool:
    if not isinstance(span, dict) or not any(sign in span for sign in _SIGNS):
        return False
    own = any(key in span for key in ("span_kind", "spanKind")) and any(
        key in span for key in ("ml_app", "mlApp", *_STARTS)
    )
    return own or (_kind(span) is not None and any(key in span for key in _STARTS))


def _kind(span: dict[str, Json]) -> Json:
    meta = span.get("meta")
    own = coerce.first(span, "span_kind", "spanKind") or coerce.first(meta, "kind", "span.kind")
    return own or coerce.first(coerce.first(meta, "span"), "kind")


def _item(span: Json, shared: dict[str, Json]) -> Item:
    span = coerce.an_object(span)
    meta = coerce.mapping(span.get("meta"))
    tags = {**_tags(shared.get("tags")), **_tags(span.get("tags"))}
    kind = coerce.text("kind", _kind(span)) or ""
    start = coerce.nanoseconds("start_ns", coerce.first(span, *_STARTS))
    lasted = coerce.number("duration", span.get("duration"))
    parent = coerce.first(span, "parent_id", "parentId")
    error = coerce.mapping(meta.get("error"))
    failed = span.get("status") == "error" or bool(error)
    about = _attributes(span, meta, shared, tags, kind)
    if failed:
        about["error.type"] = coerce.first(error, "type") or coerce.first(meta, "error.type")
    as_otlp: dict[str, Json] = {
        "traceId": coerce.text("trace_id", coerce.first(span, "trace_id", "traceId")),
        "spanId": coerce.text("span_id", coerce.first(span, *_SIGNS)),
        "parentSpanId": None if parent in ("undefined", None) else str(parent),
        "name": span.get("name"),
        "startTimeUnixNano": start,
        "endTimeUnixNano": None if start is None or lasted is None else start + round(lasted),
        "status": {
            "code": 2 if failed else 1,
            "message": coerce.first(error, "message") or coerce.first(meta, "error.message"),
        },
        "events": _evaluations(span.get("evaluation")),
        "attributes": {name: each for name, each in about.items() if each is not None},
    }
    resource = {"service.name": tags.get("service") or _of(span, shared, "ml_app", "mlApp"),
                "service.version": tags.get("version"),
                "deployment.environment.name": tags.get("env")}  # fmt: skip
    return as_otlp, {name: text for name, text in resource.items() if text}


def _attributes(
    span: dict[str, Json],
    meta: dict[str, Json],
    shared: dict[str, Json],
    tags: dict[str, str],
    kind: str,
) -> Attributes:
    metrics = coerce.mapping(span.get("metrics"))
    asked, given = (
        coerce.mapping(coerce.first(meta, name) or span.get(name)) for name in ("input", "output")
    )
    known = coerce.mapping(coerce.first(meta, "metadata") or span.get("metadata"))
    prompt = coerce.first(asked, "prompt")
    counts = usage.tokens(metrics)
    found: Attributes = {
        "gen_ai.operation.name": _OPERATIONS.get(kind, "task"),
        "session.id": _of(span, shared, "session_id", "sessionId") or _tag(tags, _SESSION),
        "user.id": _tag(tags, _USER),
        "ml_app": _of(span, shared, "ml_app", "mlApp"),
        **{key: each for key, each in known.items() if key not in _PARAMS},
    }
    if kind == "tool":
        return {
            **found,
            "gen_ai.tool.name": span.get("name"),
            "gen_ai.tool.call.id": known.get("tool_id"),
            "gen_ai.tool.call.arguments": asked.get("value"),
            "gen_ai.tool.call.result": given.get("value"),
        }
    return {
        **found,
        "gen_ai.provider.name": _named(span, meta, "provider"),
        "gen_ai.request.model": _named(span, meta, "name"),
        "gen_ai.prompt.name": coerce.first(prompt, "name", "id"),
        "gen_ai.prompt.version": coerce.first(prompt, "version"),
        "gen_ai.usage.input_tokens": counts.get("input_tokens"),
        "gen_ai.usage.output_tokens": counts.get("output_tokens"),
        "gen_ai.usage.total_tokens": counts.get("total_tokens"),
        "gen_ai.usage.cached_tokens": counts.get("cached_tokens"),
        "gen_ai.usage.reasoning_tokens": counts.get("reasoning_tokens"),
        "gen_ai.usage.cost": _cost_usd(metrics),
        "gen_ai.response.time_to_first_chunk": metrics.get("time_to_first_token"),
        "gen_ai.tool.definitions": coerce.first(meta, "tool_definitions")
        or coerce.first(span, "tool_definitions", "toolDefinitions"),
        "gen_ai.input.messages": _asked(asked),
        "gen_ai.output.messages": _answer(given),
        **{f"gen_ai.request.{key}": known[key] for key in _PARAMS if key in known},
    }


def _cost_usd(metrics: dict[str, Json]) -> float | None:
    """Given by the application in dollars, else estimated by Datadog in billionths of them."""
    estimated = coerce.number("estimated_total_cost", metrics.get("estimated_total_cost"))
    given = coerce.number("total_cost", metrics.get("total_cost"))
    return given if estimated is None else estimated * _NANO


def _named(span: dict[str, Json], meta: dict[str, Json], what: str) -> Json:
    names = f"model_{what}", f"model{what.capitalize()}"
    return coerce.first(meta, *names) or coerce.first(span, *names)


def _of(span: dict[str, Json], shared: dict[str, Json], *names: str) -> Json:
    return coerce.first(span, *names) or coerce.first(shared, *names)


def _tags(tags: Json) -> dict[str, str]:
    """["name:value"]; those without a value say nothing."""
    pairs = (tag.split(":", 1) for tag in coerce.sequence(nested(tags))
             if isinstance(tag, str) and ":" in tag)  # fmt: skip
    return {name: text for name, text in pairs if text}


def _tag(tags: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((tags[name] for name in names if name in tags), None)


def _asked(asked: dict[str, Json]) -> Json:
    if isinstance(asked.get("messages"), list):
        return [_message(item, "user") for item in asked["messages"]]
    documents = asked.get("documents")
    if isinstance(documents, list):  # of embeddings
        return [{"role": "user", "content": coerce.first(each, "text")} for each in documents]
    return asked.get("value")


def _answer(given: dict[str, Json]) -> Json:
    """Blocks of one answer may be messages each: what is thought, said, and asked of tools."""
    said = [_message(item, "assistant") for item in coerce.sequence(given.get("messages"))]
    messages = [each for each in said if isinstance(each, dict)]
    if not messages:
        return given.get("value")
    if len(messages) == 1 or not any(
        each.get("tool_calls") or each.get("role") == "reasoning" for each in messages
    ):
        return messages
    thought = [each for each in messages if each.get("role") == "reasoning"]
    spoken = [each for each in messages if each.get("role") != "reasoning"]
    whole: dict[str, Json] = {"role": "assistant", "content": _texts(spoken) or None}
    if thought:
        whole["reasoning"] = _texts(thought)
    calls = [call for each in spoken for call in coerce.sequence(each.get("tool_calls"))]
    return [{**whole, "tool_calls": calls} if calls else whole]


def _texts(messages: list[dict[str, Json]]) -> str:
    return "".join(each["content"] for each in messages if isinstance(each.get("content"), str))


def _message(item: Json, role: str) -> Json:
    """A tool call is {"name", "arguments", "tool_id"}, what it gave back {"result", "tool_id"}.

    `role`: where it has none, as prompts of completions.
    """
    if not isinstance(item, dict):
        return item
    rest = {"role": role} | {key: each for key, each in item.items()
            if key not in ("tool_calls", "tool_results", "id")}  # fmt: skip
    if calls := coerce.sequence(item.get("tool_calls")):
        rest["tool_calls"] = [
            tool_call(call.get("tool_id"), call.get("name"), _as_text(call.get("arguments")))
            for call in calls if isinstance(call, dict)
        ]  # fmt: skip
    results = [each for each in coerce.sequence(item.get("tool_results")) if isinstance(each, dict)]
    if results:
        rest = {**rest, "role": "tool", "tool_call_id": results[0].get("tool_id")}
        rest["content"] = rest.get("content") or _as_text(results[0].get("result"))
    return rest


def _as_text(value: Json) -> Json:
    return value if isinstance(value, str) or value is None else dump(value)


def _evaluations(evaluations: Json) -> list[dict[str, Json]]:
    """{"name": {"value", "assessment", "reasoning"}}"""
    return [
        {"name": "gen_ai.evaluation.result", "attributes": _evaluation(name, found)}
        for name, found in coerce.mapping(evaluations).items()
    ]


def _evaluation(name: str, found: Json) -> Attributes:
    value = coerce.first(found, "value") if isinstance(found, dict) else found
    number = float(value) if isinstance(value, bool | int | float) else None
    label = value if isinstance(value, str) else coerce.first(found, "assessment")
    return {
        "gen_ai.evaluation.name": name,
        "gen_ai.evaluation.score.value": number,
        "gen_ai.evaluation.score.label": label if isinstance(label, str) else None,
        **({"gen_ai.evaluation.explanation": reason}
           if (reason := coerce.first(found, "reasoning")) else {}),
    }  # fmt: skip
