"""One Langfuse generation → a call, one score → feedback."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from tasks.logs.formats.exchange import decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.records import Call, Feedback, Json

_CAMEL = re.compile(r"([A-Z])")
#: what an exporter of OpenTelemetry leaves in the metadata, which repeats the observation
_TELEMETRY = frozenset({"attributes", "resourceAttributes", "scope", "tools"})
_PROVIDERS = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system",
              "ai.model.provider")  # fmt: skip
_NOT_PARAMS = frozenset({"finishReason", "system", "user"})
_CACHED = ("prompt_details.cache_read", "input_cached_tokens", "cache_read_input_tokens",
           "input_cache_read")  # fmt: skip
_REASONING = ("completion_details.reasoning", "output_reasoning_tokens", "output_reasoning")


def get(item: dict[str, Json], name: str) -> Json:
    """By the name of the API, or in snake_case."""
    value = item.get(name)
    return item.get(_CAMEL.sub(r"_\1", name).lower()) if value is None else value


def from_observation(item: dict[str, Json], trace: dict[str, Json]) -> Call:
    """Raises UnreadableError where a field cannot be held."""
    metadata = coerce.mapping(decode(item.get("metadata")))
    attributes = coerce.mapping(metadata.get("attributes"))
    started = coerce.moment("startTime", get(item, "startTime"))
    ended = coerce.moment("endTime", get(item, "endTime"))
    first = coerce.moment("completionStartTime", get(item, "completionStartTime"))
    given = coerce.mapping(decode(get(item, "modelParameters")))
    error = coerce.text("error.type", attributes.get("error.type")) or "_OTHER"
    total = coerce.first(decode(get(item, "costDetails")), "total")
    cost = get(item, "totalCost") or total or get(item, "calculatedTotalCost")
    call = Call(
        request_id=f"{get(item, 'traceId')}:{item.get('id')}",
        started_at=started,
        provider=coerce.text("provider", next(
            (attributes[key] for key in _PROVIDERS if attributes.get(key)), None)),
        model=coerce.text("model", item.get("model") or get(item, "providedModelName")),
        release=coerce.text("release", trace.get("release") or trace.get("version")),
        prompt_name=coerce.text("promptName", get(item, "promptName")),
        prompt_version=coerce.text("promptVersion", get(item, "promptVersion")),
        session_id=coerce.text("sessionId", get(trace, "sessionId") or get(item, "sessionId")),
        user=coerce.text("userId", get(trace, "userId") or get(item, "userId")),
        operation="chat",
        messages=read_input(item.get("input")),
        finish_reason=coerce.text("finishReason", given.get("finishReason")),
        params={k: v for k, v in given.items() if v not in (None, "") and k not in _NOT_PARAMS}
        or None,
        **_tokens(item),
        ttft_s=(first - started).total_seconds() if first and started
        else coerce.number("timeToFirstToken", get(item, "timeToFirstToken")),
        latency_s=(ended - started).total_seconds() if ended and started else None,
        cost_usd=coerce.number("totalCost", cost),
        tags=_tags(item, trace, metadata),
    )  # fmt: skip
    answer = read_output(item.get("output"))
    return finish(call, answer, error=error if item.get("level") == "ERROR" else None)


def completed(inner: Call, outer: Call) -> Call:
    """The inner generation, with what only the one around it recorded.

    Tokens, times and ids are the inner one's: it is the API call itself.
    """
    said: dict[str, Any] = {}
    if inner.response is None or (outer.tool_calls and not inner.tool_calls):
        said = {"response": outer.response, "tool_calls": outer.tool_calls}
    if len(outer.messages or ()) > len(inner.messages or ()):
        said["messages"] = outer.messages
    for name in ("finish_reason", "provider", "params", "prompt_name", "prompt_version"):
        if getattr(inner, name) is None:
            said[name] = getattr(outer, name)
    return replace(inner, **said)


def _tokens(item: dict[str, Json]) -> dict[str, Any]:
    """The sums that Langfuse makes where it gives them, else its rule: all keys input*, output*."""
    details = coerce.mapping(decode(get(item, "usageDetails")))
    older = item.get("usage")
    if not details and isinstance(older, dict):
        details = {key: older.get(key) for key in ("input", "output", "total")}
    counts = {key: coerce.integer(f"usage.{key}", value) for key, value in details.items()}
    counts = {key: value for key, value in counts.items() if value is not None}
    if not counts:
        return {
            name: coerce.integer(name, get(item, key))
            for name, key in (("input_tokens", "promptTokens"),
                              ("output_tokens", "completionTokens"))
            if get(item, key)
        }  # fmt: skip
    inputs = [value for key, value in counts.items() if key.startswith("input")]
    outputs = [value for key, value in counts.items() if key.startswith("output")]
    return {
        "input_tokens": sum(inputs) if inputs else None,
        "output_tokens": sum(outputs) if outputs else None,
        "total_tokens": counts.get("total"),
        "cached_tokens": next((counts[key] for key in _CACHED if key in counts), None),
        "reasoning_tokens": next((counts[key] for key in _REASONING if key in counts), None),
    }


def _tags(
    item: dict[str, Json], trace: dict[str, Json], metadata: dict[str, Json]
) -> dict[str, Json]:
    tags = {key: value for key, value in metadata.items() if key not in _TELEMETRY}
    about = {
        "span_name": item.get("name"),
        "parent_span_id": get(item, "parentObservationId"),
        "environment": item.get("environment"),
        "status_message": get(item, "statusMessage"),
        "trace_name": trace.get("name"),
        "trace_tags": trace.get("tags"),
    }
    tags.update({key: value for key, value in about.items() if value not in (None, "", [])})
    return tags


def score(item: dict[str, Json], corrected: bool) -> Feedback:
    """Numbers and yes/no are values; the label of a category is a comment."""
    words = item.get("longStringValue") or get(item, "stringValue")
    comment = coerce.text("comment", item.get("comment"))
    value = None if corrected else coerce.number("score", item.get("value"))
    text = coerce.text("stringValue", words)
    return Feedback(
        kind="correction" if corrected else coerce.text("name", item.get("name")) or "evaluation",
        value=value,
        comment=comment if corrected or text is None else comment or text,
        corrected=text if corrected else None,
        given_at=coerce.moment("timestamp", item.get("timestamp")),
        by=coerce.text("authorUserId", get(item, "authorUserId")),
    )
