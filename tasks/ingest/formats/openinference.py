"""OpenInference spans (Arize Phoenix and others), one span a value.

Attributes come as OTLP's list of pairs, as one flat object, or nested. Only LLM and embedding
spans are calls: chains, agents and tools repeat them. Spans inside resourceSpans come here from
otlp.py. Source: the OpenInference semantic conventions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tasks.ingest import coerce
from tasks.ingest.formats import loose, otlp_values
from tasks.ingest.formats.otlp_values import Attributes, structured
from tasks.ingest.messages import join_text
from tasks.ingest.records import Call, Json, Other, Record, UnreadableError

NAME = "openinference"
VERSION = "openinference@1"

KIND = "openinference.span.kind"
_CALLS = {"LLM": "chat", "EMBEDDING": "embeddings"}
_INDEX = re.compile("[0-9]{1,5}")
_START = ("startTimeUnixNano", "start_time", "startTime")
_END = ("endTimeUnixNano", "end_time", "endTime")


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    found = value.get("attributes")
    if isinstance(found, list):
        return any(isinstance(pair, dict) and pair.get("key") == KIND for pair in found)
    if not isinstance(found, dict):
        return False
    return KIND in found or isinstance(found.get("openinference"), dict)


def records(value: Json) -> Iterator[Record]:
    if not matches(value):
        raise UnreadableError(f"no {KIND} among its attributes")
    found = value["attributes"]
    pairs = otlp_values.attributes(found) if isinstance(found, list) else found
    yield from from_attributes(value, pairs, {})


def from_attributes(
    span: dict[str, Json], found: Attributes, about: Attributes
) -> Iterator[Record]:  # fmt: skip
    """A span with its attributes flat or nested; `about`: those of its resource."""
    tree = nested(found)
    kind = str(_at(tree, "openinference", "span", "kind")).upper()
    if kind not in _CALLS:
        yield Other()
        return
    llm = _object(tree.get("llm")) or _object(tree.get("embedding"))
    answer = loose.read_answer(_at(tree, "output", "value"))
    message = _last(llm.get("output_messages")) or answer.message
    messages = _messages(llm.get("input_messages"))
    params = structured(llm.get("invocation_parameters"))
    started, latency = _times(span)
    state = _object(span.get("status"))
    code = state.get("code", span.get("status_code"))
    failed = code in (2, "2", "STATUS_CODE_ERROR", "ERROR")
    tools = [structured(_at(tool, "tool", "json_schema")) for tool in _list(llm.get("tools"))]
    yield Call(
        request_id=_span_id(span),
        started_at=started,
        latency_s=latency,
        provider=coerce.text("provider", llm.get("provider", llm.get("system"))),
        model=coerce.text("model", llm.get("model_name") or _object(params).get("model")),
        release=coerce.text("release", about.get("service.version")),
        session_id=coerce.text("session.id", _at(tree, "session", "id")),
        user=coerce.text("user.id", _at(tree, "user", "id")),
        operation=_CALLS[kind],
        messages=messages or loose.read_messages(_at(tree, "input", "value")),
        response=message,
        tool_calls=message.get("tool_calls") if message else None,
        finish_reason=coerce.text("finish_reason", llm.get("finish_reason", answer.finish_reason)),
        params=_params(params, tools),
        **_tokens(llm.get("token_count")),
        cost_usd=coerce.number("cost", _at(llm, "cost", "total")),
        status="error" if failed else "ok",
        error_type=_error(span) if failed else None,
        tags=_tags(span, tree, state),
    )


def nested(flat: Attributes) -> dict[str, Json]:
    """{"a.0.b": 1} → {"a": [{"b": 1}]}; what is nested already stays."""
    tree: dict[str, Json] = {}
    for key, value in flat.items():
        place, path = tree, key.split(".")
        for name in path[:-1]:
            inner = place.setdefault(name, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            place.setdefault(path[-1], value)
    result = _with_lists(tree)
    assert isinstance(result, dict)
    return result


def _with_lists(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    inner = {key: _with_lists(item) for key, item in value.items()}
    if inner and all(_INDEX.fullmatch(key) for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def _at(value: Json, *path: str) -> Json:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _messages(items: Json) -> list[Json]:
    return [_message(_object(_at(item, "message"))) for item in _list(items)]


def _last(items: Json) -> dict[str, Json] | None:
    found = _messages(items)
    return {**found[-1], "role": "assistant"} if found else None


def _message(item: dict[str, Json]) -> dict[str, Json]:
    content = item.get("content")
    if content is None and isinstance(item.get("contents"), list):
        parts = [_object(_at(part, "message_content")) for part in item["contents"]]
        content = join_text(list(parts))
    message: dict[str, Json] = {"role": item.get("role", "user"), "content": content}
    calls = [_tool_call(_object(_at(call, "tool_call"))) for call in _list(item.get("tool_calls"))]
    if calls:
        message["tool_calls"] = calls
    for name in ("tool_call_id", "name"):
        if item.get(name) is not None:
            message[name] = item[name]
    return message


def _tool_call(call: dict[str, Json]) -> Json:
    function = _object(call.get("function"))
    named = {"name": function.get("name"), "arguments": function.get("arguments")}
    return {"id": call.get("id"), "type": "function", "function": named}


def _params(params: Json, tools: list[Json]) -> Json:
    found = {k: v for k, v in _object(params).items() if k not in ("model", "messages")}
    if tools and "tools" not in found:
        found["tools"] = tools
    return found or None


def _tokens(count: Json) -> dict[str, Any]:
    paths = {
        "input_tokens": ("prompt",), "output_tokens": ("completion",), "total_tokens": ("total",),
        "cached_tokens": ("prompt_details", "cache_read"),
        "reasoning_tokens": ("completion_details", "reasoning"),
    }  # fmt: skip
    return {ours: coerce.integer(ours, _at(count, *path)) for ours, path in paths.items()}


def _times(span: dict[str, Json]) -> tuple[Json, float | None]:
    """OTLP's nanoseconds or Phoenix's ISO times; a file of spans may carry none."""
    started = coerce.moment("start time", _some_time(otlp_values.first(span, _START)))
    ended = coerce.moment("end time", _some_time(otlp_values.first(span, _END)))
    latency = (ended - started).total_seconds() if started and ended else None
    return started, latency


def _some_time(value: Json) -> Json:
    return None if value in (0, "0") else value


def _span_id(span: dict[str, Json]) -> str | None:
    context = _object(span.get("context"))
    trace = span.get("traceId", context.get("trace_id"))
    own = span.get("spanId", context.get("span_id"))
    return f"{trace}:{own}" if isinstance(trace, str) and isinstance(own, str) and own else None


def _error(span: dict[str, Json]) -> str:
    """The class of the exception among the span's events."""
    for event in _list(span.get("events")):
        about = _object(event).get("attributes")
        pairs = otlp_values.attributes(about) if isinstance(about, list) else _object(about)
        if pairs.get("exception.type"):
            return str(pairs["exception.type"])[:200]
    return "_OTHER"


def _tags(
    span: dict[str, Json], tree: dict[str, Json], state: dict[str, Json]
) -> dict[str, Json]:  # fmt: skip
    tags = {
        "span_name": span.get("name"),
        "parent_span_id": span.get("parentSpanId", span.get("parent_id")),
        "status_message": state.get("message", span.get("status_message")),
        "metadata": structured(tree.get("metadata")),
        "tags": _at(tree, "tag", "tags"),
    }
    return {name: value for name, value in tags.items() if value}
