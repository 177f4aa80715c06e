"""Envoy AI Gateway access logs: one flat object a request, with gen_ai.* fields among Envoy's own.

Entries of tool traffic (MCP) have the gen_ai fields as nulls: they are no calls. Bodies are not in
these logs. Durations are milliseconds. Source: Envoy AI Gateway's guide to access logs, Envoy's
command operators.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = "envoy"
VERSION = "envoy@3"

_MODELS = ("gen_ai.response.model", "gen_ai.request.model_override", "gen_ai.request.model")
_COUNTS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "total_tokens": "gen_ai.usage.total_tokens",
    "cached_tokens": "gen_ai.usage.cached_input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning_tokens",
}
_TOOL = ("mcp.method.name", "mcp.tool.name", "mcp.session.id", "jsonrpc.request.id")
_ENVOY = ("response_code", "start_time", "x-envoy-origin-path", "upstream_cluster")
_READ = frozenset({
    *_MODELS, *_COUNTS.values(), "gen_ai.provider.name", "start_time", "duration", "response_code",
    "x-request-id", "session.id",
})  # fmt: skip
_OPERATIONS = {
    "/embeddings": "embeddings", "/chat/completions": "chat", "/completions": "text_completion",
}  # fmt: skip


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    ours = any(isinstance(key, str) and key.startswith(("gen_ai.", "mcp.")) for key in value)
    return ours and sum(key in value for key in _ENVOY) >= 2


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    if not any(key in value for key in (*_MODELS, *_COUNTS.values(), *_TOOL)):
        raise UnreadableError("no gen_ai field in it: an access log of other traffic")
    known = {key: None if item == "-" else item for key, item in value.items()}
    counted = any(known.get(key) is not None for key in (*_MODELS, *_COUNTS.values()))
    if any(known.get(key) is not None for key in _TOOL) or not counted:
        yield Other()
    else:
        yield _call(known)


def _call(value: dict[str, Json]) -> Call:
    models = [coerce.text(key, value.get(key)) for key in _MODELS]
    code = coerce.small_integer("response_code", value.get("response_code"))
    counts = usage.tokens({name: value.get(key) for name, key in _COUNTS.items()})
    tags = {key: item for key, item in value.items() if key not in _READ and item is not None}
    path = str(value.get("x-envoy-origin-path")).partition("?")[0]
    requested = models[2]
    if requested and requested != next(model for model in models if model):
        tags["request_model"] = requested
    call = Call(
        request_id=coerce.text("x-request-id", value.get("x-request-id")),
        started_at=coerce.moment("start_time", value.get("start_time")),
        provider=coerce.text("gen_ai.provider.name", value.get("gen_ai.provider.name")),
        model=next((model for model in models if model), None),
        session_id=coerce.text("session.id", value.get("session.id")),
        operation=next((name for end, name in _OPERATIONS.items() if path.endswith(end)), "chat"),
        **counts,
        latency_s=coerce.seconds("duration", value.get("duration"), 1000.0),
        http_status=code or None,
        tags=tags,
    )
    # 0: the client went away before there was a status; Envoy gives a reason of its own
    went_away = str(value.get("response_flags") or "no_response") if code == 0 else None
    return finish(call, error=went_away)
