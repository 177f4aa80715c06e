"""Portkey: lines of its logs export.

Units are tokens, costs are cents of a dollar. Columns may be missing: who exports chooses them.
An answer from the cache has a tag. Source: Portkey's guide to the logs export.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats.apis import CHAT, api_of
from tasks.logs.formats.exchange import Exchange, path_of, runs_no_model, unwrap
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import FROM_CACHE
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Feedback, Json, Other, Record, UnreadableError

NAME = "portkey"
VERSION = "portkey@1"

#: it has the first two and one of the others
_SIGNS = ("ai_org", "ai_model")
_COUNTS = ("req_units", "res_units", "total_units", "cost", "response_time", "is_success",
           "request", "response", "request.body", "response.body")  # fmt: skip
_KEPT = ("trace_id", "span_id", "mode", "config", "cache_type", "stream_mode", "virtual_key",
         "workspace_slug", "api_key", "request_method", "guardrails")  # fmt: skip


def matches(value: Json) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("ai_org"), str | None):
        return False
    return all(key in value for key in _SIGNS) and any(key in value for key in _COUNTS)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    if not matches(value):
        raise UnreadableError("neither ai_org nor ai_model of a Portkey log is in it")
    yield Other() if runs_no_model(value.get("request_url")) else _call(value)


def _call(value: dict[str, Json]) -> Call:
    request = unwrap(_first(value, "request", "request.body"))
    response = unwrap(_first(value, "response", "response.body"))
    metadata = nested(value.get("metadata"))
    cached = "HIT" in str(value.get("cache_status")).upper().split("_")[-1].split()
    failed = str(value.get("is_success")).lower() in ("0", "false")
    around: dict[str, Json] = {key: value[key] for key in _KEPT if value.get(key) is not None}
    around |= {
        "id": value.get("id"),
        "started_at": value.get("created_at"),
        "provider": named(coerce.text("ai_org", value.get("ai_org"))),
        "latency_ms": value.get("response_time"),
        "status_code": value.get("response_status_code"),
        "prompt_name": value.get("prompt_slug", value.get("prompt_id")),
        "prompt_version": value.get("prompt_version_id"),
        "metadata": {_plain(k): v for k, v in coerce.mapping(metadata).items()} or None,
        "model": value.get("ai_model"),
        "usage": {"input_tokens": value.get("req_units"), "output_tokens": value.get("res_units"),
                  "total_tokens": value.get("total_units")},
    }  # fmt: skip
    if cached:
        around[FROM_CACHE] = True
    if failed:
        around["error"] = coerce.first(response, "error") or "failure"
    if str(value.get("cost_currency") or "USD").upper() == "USD":
        around["cost_usd"] = coerce.seconds("cost", value.get("cost"), 100.0)
    told = bool(response)
    exchange = Exchange(request or None, response or None, around, _address(value), recorded=told)
    return call_of(exchange, api_of(exchange) or CHAT, _feedback(value))


def _feedback(value: dict[str, Json]) -> tuple[Feedback, ...]:
    """Values from -10 to 10, each with a weight of its own."""
    said = nested(value.get("feedback"))
    items = said if isinstance(said, list) else [said]
    values = [item.get("value") if isinstance(item, dict) else item for item in items]
    rated = [coerce.number("feedback", each) for each in values if each not in (None, "")]
    return tuple(Feedback("rating", value=each) for each in rated if each is not None)


def _first(value: dict[str, Json], *names: str) -> Json:
    return next((nested(value[name]) for name in names if value.get(name)), None)


def _plain(key: str) -> str:
    """Portkey's own keys of metadata begin with a line: _user, _prompt."""
    return key.removeprefix("_")


def _address(value: dict[str, Json]) -> Json:
    """Only where it is that of an API: it may be Portkey's own for prompts."""
    url = value.get("request_url")
    path = path_of(url)
    return url if path is not None and "/prompts/" not in path else None
