"""Kong AI Gateway: log entries of Kong's logging plugins with an `ai` object in them.

Every AI plugin that called a model has an object with `meta` and `usage`: one call each. MCP
traffic is no call. What a guardrail plugin blocked is a verdict. The texts that the sanitizer took
out are not read. Source: Kong's AI Gateway audit log reference and log format of its plugins.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.apis import CHAT, api_of
from tasks.logs.formats.exchange import Exchange
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import FROM_CACHE, NOT_RECORDED, finish, verdict
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = "kong"
VERSION = "kong@4"

#: objects inside a plugin's that call a model, but not for the user
_INSIDE = ("meta", "usage", "payload", "cache", "rag-inject", "ai-llm-as-judge")


def matches(value: Json) -> bool:
    inner = coerce.first(value, "ai")
    if not isinstance(inner, dict):
        return False
    return "mcp" in inner or "a2a" in inner or bool(_plugins(inner))


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    inner = value.get("ai")
    if not isinstance(inner, dict):
        raise UnreadableError("no `ai` object in it: a log entry of other traffic")
    plugins = _plugins(inner)
    for name, plugin in plugins:
        yield _call(value, inner, name, plugin, alone=len(plugins) == 1)
    if not plugins:
        yield Other()


def _plugins(inner: dict[str, Json]) -> list[tuple[str, dict[str, Json]]]:
    return [
        (name, part)
        for name, part in inner.items()
        if isinstance(part, dict) and isinstance(part.get("meta"), dict)
    ]


def _call(
    entry: dict[str, Json],
    inner: dict[str, Json],
    name: str,
    plugin: dict[str, Json],
    *,
    alone: bool,
) -> Call:
    meta, counts = coerce.mapping(plugin.get("meta")), coerce.mapping(plugin.get("usage"))
    # payloads are JSON text, of the plugin or of all of them
    payload = {**coerce.mapping(inner.get("payload")), **coerce.mapping(plugin.get("payload"))}
    asked, said = (exchanges.decode(payload.get(key)) for key in ("request", "response"))
    api = api_of(Exchange(asked, said)) or CHAT
    request = coerce.mapping(asked)
    consumer = coerce.first(entry.get("consumer"), "username", "custom_id", "id")
    latency = meta.get("llm_latency")
    if latency is None:  # as of a cached answer; then the time of the whole request
        latency = coerce.first(entry.get("latencies"), "request")
    status = coerce.mapping(entry.get("response")).get("status")
    own_id = coerce.text("request.id", coerce.mapping(entry.get("request")).get("id"))
    call = Call(
        request_id=own_id if own_id is None or alone else f"{own_id}:{name}",
        started_at=coerce.moment("started_at", entry.get("started_at")),
        provider=named(coerce.text("provider_name", meta.get("provider_name"))),
        model=coerce.text("model", meta.get("response_model") or meta.get("request_model")),
        user=coerce.text("consumer", consumer),
        operation=api.operation,
        messages=api.read_messages(request),
        params=api.params(request),
        **usage.tokens(counts),
        ttft_s=coerce.seconds("time_to_first_token", counts.get("time_to_first_token"), 1000.0),
        latency_s=coerce.seconds("llm_latency", latency, 1000.0),
        cost_usd=coerce.number("cost", counts.get("cost")),
        http_status=coerce.small_integer("response.status", status),
        guardrail_verdicts=_verdicts(inner, plugin),
        tags=_tags(entry, inner, name, plugin),
    )
    return finish(call, NOT_RECORDED if said is None else api.read_answer(said))


def _verdicts(inner: dict[str, Json], plugin: dict[str, Json]) -> list[dict[str, Json]]:
    verdicts = []
    for name, part in plugin.items():
        if not isinstance(part, dict):
            continue
        for stage in ("input", "output"):
            reason, masked = part.get(f"{stage}_block_reason"), part.get(f"{stage}_masked") is True
            if reason is not None or masked:
                verdicts.append(
                    verdict(name, bool(reason), masked=masked, stage=stage, reason=reason)
                )
    breached = coerce.mapping(inner.get("audit")).get("azure_content_safety")
    if isinstance(breached, dict) and breached:
        verdicts.append(verdict("azure-content-safety", True, categories=breached))
    return verdicts


def _tags(
    entry: dict[str, Json], inner: dict[str, Json], name: str, plugin: dict[str, Json]
) -> dict[str, Json]:
    tags: dict[str, Json] = {"kong_plugin": name}
    if coerce.first(plugin.get("cache"), "cache_status") == "Hit":
        tags[FROM_CACHE] = True
    for key in ("cache", "rag-inject", "ai-llm-as-judge"):
        if plugin.get(key) is not None:
            tags[key] = plugin[key]
    if inner.get("compressor") is not None:
        tags["compressor"] = inner["compressor"]
    for key in ("service", "route"):
        label = coerce.mapping(entry.get(key)).get("name")
        if label is not None:
            tags[f"kong_{key}"] = label
    meta = coerce.mapping(plugin.get("meta"))
    if meta.get("request_model") != meta.get("response_model") and meta.get("response_model"):
        tags["request_model"] = meta.get("request_model")
    return tags
