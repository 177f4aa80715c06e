"""Kong's AI audit log: the "ai" part of a log entry, an object a plugin, with usage and meta.

Payloads are there if the plugin logs them. A guardrail that blocked is a verdict. An entry with
"mcp" only is a tool call. Source: Kong's AI audit log reference; Kong's log serialiser.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.ingest import coerce
from tasks.ingest.formats import bodies, loose, openai_bodies
from tasks.ingest.records import Call, Json, Other, Record, UnreadableError

NAME = "kong"
VERSION = "kong@1"

_REASONS = ("input_block_reason", "output_block_reason", "block_reason")


def matches(value: Json) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("ai"), dict):
        return False
    parts = [part for part in value["ai"].values() if isinstance(part, dict)]
    return "mcp" in value["ai"] or any("usage" in part or "meta" in part for part in parts)


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict) or not isinstance(value.get("ai"), dict):
        raise UnreadableError('no "ai" object: not an entry of Kong\'s AI log')
    plugins = {
        name: part for name, part in value["ai"].items()
        if isinstance(part, dict) and ("usage" in part or "meta" in part)
    }  # fmt: skip
    if not plugins:
        yield Other()
        return
    for name, part in plugins.items():
        yield _call(value, name, part)


def _call(entry: dict[str, Json], plugin: str, part: dict[str, Json]) -> Call:
    usage, meta = _object(part.get("usage")), _object(part.get("meta"))
    payloads = (_object(entry["ai"].get("payload")), _object(part.get("payload")))
    asked = bodies.decode(_first(payloads, "request"))
    answer = loose.read_answer(_answered(_first(payloads, "response")))
    answered = _object(entry.get("response"))
    status = coerce.small_integer("response.status", answered.get("status"))
    verdicts = _verdicts(part)
    failed = status is not None and status >= 400 and not verdicts
    message = answer.message
    tokens: dict[str, Any] = openai_bodies.read_usage(usage)
    user = _object(entry.get("consumer")).get("username") or meta.get("consumer")
    return Call(
        request_id=_request_id(entry, plugin),
        started_at=coerce.moment("started_at", entry.get("started_at")),
        provider=coerce.text("provider_name", meta.get("provider_name")),
        model=coerce.text("model", meta.get("response_model") or meta.get("request_model")),
        user=coerce.text("consumer", user),
        operation="chat",
        messages=loose.read_messages(asked) if isinstance(asked, dict) else None,
        response=message,
        tool_calls=message.get("tool_calls") if message else None,
        finish_reason=answer.finish_reason,
        params=_params(asked),
        **tokens,
        ttft_s=coerce.seconds("time_to_first_token", usage.get("time_to_first_token"), 1000.0),
        latency_s=coerce.seconds("llm_latency", meta.get("llm_latency"), 1000.0),
        cost_usd=coerce.number("cost", usage.get("cost")),
        status="error" if failed else "ok",
        error_type=str(status) if failed else None,
        http_status=status,
        guardrail_verdicts=verdicts or None,
        tags={"plugin": plugin, **_tags(part, meta)},
    )


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _first(places: tuple[dict[str, Json], ...], name: str) -> Json:
    return next((place[name] for place in places if place.get(name) is not None), None)


def _answered(value: Json) -> Json:
    """The documentation's placeholder is no answer."""
    return None if isinstance(value, str) and value.startswith("$OPTIONAL") else value


def _request_id(entry: dict[str, Json], plugin: str) -> str | None:
    """Of the request, with the plugin where several called a model for it."""
    own = _object(entry.get("request")).get("id") or entry.get("request_id")
    if not isinstance(own, str):
        return None
    return own if plugin == "proxy" else f"{own}:{plugin}"


def _params(asked: Json) -> Json:
    left_out = ("messages", "model", "prompt", "input")
    return {k: v for k, v in _object(asked).items() if k not in left_out} or None


def _verdicts(part: dict[str, Json]) -> list[Json]:
    found: list[Json] = []
    for name, guard in part.items():
        if isinstance(guard, dict):
            reasons = [guard[key] for key in _REASONS if guard.get(key)]
            if reasons:
                found.append({"guardrail": name, "verdict": "block", "reason": reasons[0]})
    return found


def _tags(part: dict[str, Json], meta: dict[str, Json]) -> dict[str, Json]:
    tags = {"request_model": meta.get("request_model"), "plugin_id": meta.get("plugin_id"),
            "cache_status": _object(part.get("cache")).get("cache_status")}  # fmt: skip
    return {name: value for name, value in tags.items() if value}
