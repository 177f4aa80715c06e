"""Cloudflare AI Gateway: logs of its API, one by one or a page, and the events that Logpush writes.

Bodies stand beside as JSON text where they were asked for; Logpush may encrypt them, then there
are no texts. An answer from the cache has a tag. The custom metadata names user and session.
Feedback is a thumb, a score a rating. Source: Cloudflare's API reference, AI Gateway logs, and its
reference of Logpush fields, AI Gateway events.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats.apis import CHAT, api_of
from tasks.logs.formats.exchange import Exchange, decode
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.formats.pages import items_under
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import FROM_CACHE
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Feedback, Json, Record, UnreadableError

NAME = "cloudflare"
VERSION = "cloudflare@1"

_LOG = ("provider", "model", "cached", "duration", "tokens_in", "tokens_out")
_EVENT = ("Gateway", "Provider", "Model", "Cached", "StatusCode")
#: names of Logpush → of the API
_NAMES = {
    "Cached": "cached", "Endpoint": "path", "Gateway": "gateway", "Metadata": "metadata",
    "Model": "model", "Provider": "provider", "RateLimited": "rate_limited",
    "RequestBody": "request", "ResponseBody": "response", "RequestedModel": "request_model",
    "StatusCode": "status_code", "Timestamp": "created_at", "RoutingReason": "routing_reason",
    "RoutingDecisionID": "routing_decision_id", "ID": "id", "LogID": "id",
}  # fmt: skip
_KEPT = (
    "gateway",
    "step",
    "request_model",
    "rate_limited",
    "routing_reason",
    "routing_decision_id",
    "custom_cost",
)


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    page = items_under(value, "result")
    return _is_log(value) if page is None else any(map(_is_log, page))


def _is_log(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    if not isinstance(coerce.first(value, "provider", "Provider"), str):
        return False
    return all(key in value for key in _LOG) or all(key in value for key in _EVENT)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    page = items_under(value, "result")
    if page:
        for item in page:
            yield or_dead(item, _call, item)
    else:
        yield _call(value)


def _call(value: Json) -> Call:
    if not isinstance(value, dict) or not _is_log(value):
        raise UnreadableError("no log of an AI Gateway: provider, model, cached are not in it")
    log: dict[str, Json] = {_NAMES.get(str(key), str(key)): item for key, item in value.items()}
    metrics = coerce.mapping(decode(log.get("Metrics")))
    request = _body(log, "request")
    response = _body(log, "response")
    cached = log.get("cached") in (True, "true")
    duration = log.get("duration", coerce.first(metrics, "durationMs", "duration"))
    around: dict[str, Json] = {key: log[key] for key in _KEPT if log.get(key) is not None}
    around |= {
        "id": log.get("id"),
        "started_at": log.get("created_at"),
        "provider": named(coerce.text("provider", log.get("provider"))),
        "latency_ms": duration,
        "cost_usd": log.get("cost", metrics.get("cost")),
        "status_code": log.get("status_code"),
        "metadata": decode(log.get("metadata")) or None,
        "model": log.get("model"),
        "usage": {**metrics, **log},
    }
    if cached:
        around[FROM_CACHE] = True
    if log.get("success") in (False, "false"):
        around["error"] = coerce.first(response, "error") or _failure(log)
    told = response is not None
    exchange = Exchange(request, response, around, log.get("path"), recorded=told)
    return call_of(exchange, api_of(exchange) or CHAT, _feedback(log))


def _failure(log: dict[str, Json]) -> Json:
    code = log.get("status_code")
    return {"code": code} if isinstance(code, int) and code >= 400 else "failure"


def _body(log: dict[str, Json], name: str) -> Json:
    """The whole body; else its head, unless that was cut. An encrypted one is none."""
    for key in (name, f"{name}_head"):
        body = decode(log.get(key))
        encrypted = isinstance(body, dict) and body.get("type") == "encrypted"
        if isinstance(body, dict | list) and body and not encrypted:
            return body
    return None


def _feedback(log: dict[str, Json]) -> tuple[Feedback, ...]:
    thumb = coerce.number("feedback", log.get("feedback"))
    score = coerce.number("score", log.get("score"))
    found = [Feedback("thumbs", value=thumb)] if thumb in (1.0, -1.0) else []
    return (*found, *([] if score is None else [Feedback("rating", value=score)]))
