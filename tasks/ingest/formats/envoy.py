"""Access logs of Envoy AI Gateway, as JSON: metrics of a call, without its texts.

Which fields there are is the operator's choice; the names are those of the gateway's examples. A
record without a model and tokens but with an MCP method is a tool call, no model call with numbers
missing. Source: Envoy AI Gateway, access logs with AI metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.ingest import coerce
from tasks.ingest.records import Call, Json, Other, Record, UnreadableError

NAME = "envoy"
VERSION = "envoy@1"

_TOKENS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "total_tokens": "gen_ai.usage.total_tokens",
    "cached_tokens": "gen_ai.usage.cached_input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning_tokens",
}
_MODELS = ("gen_ai.response.model", "gen_ai.request.model")
_OPERATIONS = {"completions": "text_completion", "embeddings": "embeddings"}
#: what Envoy writes for nothing
_NOTHING = (None, "", "-")


def matches(value: Json) -> bool:
    if not isinstance(value, dict) or "response_code" not in value:
        return False
    return any(key.startswith(("gen_ai.", "mcp.")) for key in value)


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict) or "response_code" not in value:
        raise UnreadableError("no response_code: not an access log")
    found = {key: item for key, item in value.items() if item not in _NOTHING}
    if "mcp.method.name" in found or not any(
        name in found for name in (*_MODELS, *_TOKENS.values())
    ):
        yield Other()
        return
    status = coerce.small_integer("response_code", found.get("response_code"))
    failed = status is None or status >= 400 or status == 0
    path = str(found.get("x-envoy-origin-path", "")).split("?")[0].rstrip("/")
    details = found.get("response_flags", found.get("response_code_details"))
    tokens: dict[str, Any] = {
        ours: coerce.integer(ours, found.get(theirs)) for ours, theirs in _TOKENS.items()
    }
    yield Call(
        request_id=coerce.text("x-request-id", found.get("x-request-id")),
        started_at=coerce.moment("start_time", found.get("start_time")),
        provider=coerce.text("provider", found.get("gen_ai.provider.name")),
        model=coerce.text("model", next((found[n] for n in _MODELS if n in found), None)),
        session_id=coerce.text("session.id", found.get("session.id")),
        operation=_operation(path),
        **tokens,
        latency_s=coerce.seconds("duration", found.get("duration"), 1000.0),
        status="error" if failed else "ok",
        error_type=_error(status, details) if failed else None,
        http_status=status or None,
        tags=_tags(found),
    )


def _operation(path: str) -> str:
    last = path.rpartition("/")[2]
    return "chat" if path.endswith("/chat/completions") else _OPERATIONS.get(last, "chat")


def _error(status: int | None, details: Json) -> str:
    return str(status) if status else coerce.text("response_flags", details) or "no_response"


def _tags(found: dict[str, Json]) -> dict[str, Json]:
    names = ("route_name", "upstream_cluster", "response_flags", "response_code_details",
             "gen_ai.request.model_override", "user-agent", "x-envoy-upstream-service-time",
             "gen_ai.request.model")  # fmt: skip
    return {name: found[name] for name in names if name in found}
