"""Traces of the OpenAI Agents SDK, as its processors export them: traces and spans, one a value.

{"object": "trace", …}, {"object": "trace.span", "span_data": {"type": …}}, or {"data": [both]} as
they are sent. A generation or response is a call. Of a response the SDK's own export has only id
and usage (older ones the id alone: that is no call), other processors add `input` and `response`.
The group of a trace is the session. Every item becomes a span as OTLP has it.

Source: agents.tracing of the OpenAI Agents SDK for Python and TypeScript.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.otlp_messages import RAW_REQUEST, RAW_RESPONSE
from tasks.logs.formats.otlp_values import Attributes
from tasks.logs.formats.trace_reading import Item, SpanReader, read
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Dead, Json, Record, UnreadableError

NAME = "openai_agents"
VERSION = "openai_agents@1"

#: the trace itself, as the span around those that have none
_ROOT = "trace"
_NO_CALLS = {
    "function": "execute_tool", "agent": "invoke_agent", "handoff": "workflow",
    "guardrail": "task", "custom": "task", "mcp_tools": "task",
}  # fmt: skip
#: of a response something must be told beside its id
_OF_A_RESPONSE = ("usage", "response", "_response", "input", "_input")
_NOT_PARAMS = frozenset({"base_url", "model_impl", "model", "metadata"})
_USER = ("user_id", "user", "userId")


def matches(value: Json) -> bool:
    return any(map(_is_item, _items_of(value)[:50]))


def records(value: Json) -> Iterator[Record]:
    items = _items_of(value)
    if not any(map(_is_item, items)):
        raise UnreadableError("no trace or span of the Agents SDK is in it")
    yield from read(or_dead(item, _item, item) for item in items)


def reader() -> SpanReader[Any]:
    """A trace and its spans stand in several values."""
    return SpanReader(span_of, records)


def span_of(value: Json) -> Item | None:
    item = or_dead(value, _item, value) if _is_item(value) else None
    return None if isinstance(item, Dead) else item


def _items_of(value: Json) -> list[Json]:
    found = coerce.first(value, "data")
    return found if isinstance(found, list) else [value]


def _is_item(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    if value.get("object") == "trace":
        return "workflow_name" in value or "group_id" in value
    return value.get("object") == "trace.span" and isinstance(value.get("span_data"), dict)


def _item(item: Json) -> Item:
    item = coerce.an_object(item)
    if item.get("object") == "trace":
        return _trace(item), {}
    said = coerce.mapping(item.get("span_data"))
    error = item.get("error")
    about: Attributes = {"gen_ai.operation.name": "task"}
    kind = said.get("type")
    if kind == "generation" or (kind == "response" and any(map(said.get, _OF_A_RESPONSE))):
        about = _of_call(said)
    elif isinstance(kind, str):
        about["gen_ai.operation.name"] = _NO_CALLS.get(kind, "task")
        if kind == "function":
            about["gen_ai.tool.name"] = said.get("name")
            about["gen_ai.tool.call.arguments"] = said.get("input")
            about["gen_ai.tool.call.result"] = said.get("output")
    return {
        "traceId": item.get("trace_id"),
        "spanId": item.get("id"),
        "parentSpanId": item.get("parent_id") or _ROOT,
        "name": coerce.first(said, "name") or kind,
        "startTimeUnixNano": coerce.nanoseconds("started_at", item.get("started_at")),
        "endTimeUnixNano": coerce.nanoseconds("ended_at", item.get("ended_at")),
        "status": {"code": 2, "message": coerce.first(error, "message") or error} if error else {},
        "attributes": {name: each for name, each in about.items() if each is not None},
    }, {}


def _trace(trace: dict[str, Json]) -> dict[str, Json]:
    found = {
        "gen_ai.operation.name": "workflow",
        "session.id": coerce.text("group_id", trace.get("group_id")),
        "user.id": coerce.text("user", coerce.first(trace.get("metadata"), *_USER)),
    }
    return {
        "traceId": trace.get("id"),
        "spanId": _ROOT,
        "name": trace.get("workflow_name"),
        "attributes": {name: each for name, each in found.items() if each is not None},
    }


def _of_call(said: dict[str, Json]) -> Attributes:
    response = nested(coerce.first(said, "response", "_response"))
    asked = coerce.first(said, "input", "_input")
    counts = usage.tokens(said.get("usage"))
    request: dict[str, Json] = {
        **{key: each for key, each in coerce.mapping(said.get("model_config")).items()
           if key not in _NOT_PARAMS},
        "input": asked,
    }  # fmt: skip
    if isinstance(response, dict):
        for key in ("instructions", "temperature", "top_p", "tools", "max_output_tokens"):
            request.setdefault(key, response.get(key))
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai" if said.get("type") == "response" else None,
        "gen_ai.request.model": coerce.first(said, "model") or coerce.first(response, "model"),
        "gen_ai.response.id": said.get("response_id"),
        "gen_ai.usage.input_tokens": counts.get("input_tokens"),
        "gen_ai.usage.output_tokens": counts.get("output_tokens"),
        "gen_ai.usage.total_tokens": counts.get("total_tokens"),
        "gen_ai.usage.cached_tokens": counts.get("cached_tokens"),
        "gen_ai.usage.reasoning_tokens": counts.get("reasoning_tokens"),
        RAW_REQUEST: request if any(item is not None for item in request.values()) else None,
        RAW_RESPONSE: response if response is not None else said.get("output"),
    }
