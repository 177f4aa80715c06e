"""An exchange → a call: what the bodies say, and what the line says around them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.exchange import Api, Exchange
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import FROM_CACHE, Answer, finish
from tasks.logs.shapes.providers import named, provider_of
from tasks.logs.shapes.records import Call, Feedback, Json, UnreadableError

_MODEL = re.compile(r"/model/([^/?#]+)/(?:converse|invoke)|/models/([^/?#:]+):")
#: names of the line (or of its metadata) for what the bodies do not say
_LINE_TEXTS = {
    "session_id": ("session_id", "conversation_id", "session"),
    "prompt_name": ("prompt_name", "workload_id"),
    "prompt_version": ("prompt_version",),
    "release": ("release", "service_version"),
    "provider": ("provider",),
    "user": ("user", "user_id"),
}
_FIELDS = {name: field for field, names in _LINE_TEXTS.items() for name in names}
_LINE_OTHER = frozenset({
    *exchanges.REQUEST, *exchanges.RESPONSE, "request_id", "id", "timestamp", "started_at",
    "latency_ms", "latency_s", "ttft_ms", "ttft_s", "status_code", "http_status", "error",
    "metadata", "feedback", "retries", "cost_usd", "guardrail_verdicts", "operation", "usage",
    "model",
})  # fmt: skip


def call_of(exchange: Exchange, api: Api, feedback: tuple[Feedback, ...] = ()) -> Call:
    """Raises UnreadableError where a field cannot be held."""
    around, asked = exchange.around, exchange.request
    if asked not in (None, "") and not isinstance(asked, dict):
        raise UnreadableError(f"request: expected an object, received {coerce.kind_of(asked)}")
    request: dict[str, Json] = asked or {}
    answer = api.read_answer(exchange.response)
    answer.recorded = exchange.recorded
    if beside := usage.tokens(around.get("usage")):
        said = {name: count for name, count in (answer.tokens or {}).items() if count is not None}
        answer.tokens = {**beside, **said}
    metadata = _metadata(around, request)
    texts: dict[str, Any] = dict.fromkeys(_LINE_TEXTS)
    for holder in (metadata, around):  # what stands on the line itself is believed
        texts.update(_said(holder))
    echoed = coerce.mapping(exchange.response)  # the Responses API repeats what it was asked
    for holder in (request, echoed):
        user = coerce.text("user", coerce.first(holder, "user", "safety_identifier"))
        texts["user"] = texts["user"] or user
        prompt = holder.get("prompt")  # a stored one
        if texts["prompt_name"] is None and isinstance(prompt, dict):
            texts["prompt_name"] = coerce.text("prompt.id", prompt.get("id"))
            texts["prompt_version"] = coerce.text("prompt.version", prompt.get("version"))
        talk = coerce.first(holder.get("conversation"), "id")
        texts["session_id"] = texts["session_id"] or coerce.text("conversation.id", talk)
    own_id = coerce.text("request_id", around.get("request_id", around.get("id")))
    started = around.get("started_at", around.get("timestamp"))
    requested = coerce.text("model", request.get("model"))
    # Bedrock and Gemini name the model in the address only
    addressed = _MODEL.search(exchange.uri) if isinstance(exchange.uri, str) else None
    model = answer.model or requested or (addressed and unquote(addressed[1] or addressed[2]))
    model = model or coerce.text("model", around.get("model"))
    texts["provider"] = named(texts["provider"]) or _provider(exchange, api, answer, model)
    tags = _tags(around, metadata)
    # an answer out of a cache has the id of the call that it is from, and cost nothing more
    cached = around.get(FROM_CACHE) is True
    cost = coerce.number("cost_usd", around.get("cost_usd"))
    if not cached and own_id is not None and answer.response_id not in (None, own_id):
        tags["request_id"] = own_id
    if answer.model and requested and requested != answer.model:
        tags["request_model"] = requested
    prompted = (api.operation == "chat" and "messages" not in request
                and isinstance(request.get("prompt"), str | list))  # fmt: skip
    operation = answer.operation or ("text_completion" if prompted else api.operation)
    messages = api.read_messages(request)
    if messages is None and "input" in echoed:
        messages = api.read_messages(echoed)
    status = around.get("status_code", around.get("http_status", exchange.status))
    call = Call(
        **texts,
        request_id=own_id if cached and own_id else answer.response_id or own_id,
        started_at=coerce.moment("started_at", answer.created if started is None else started),
        model=model,
        operation=coerce.text("operation", around.get("operation")) or operation,
        messages=messages,
        params=api.params(request),
        ttft_s=_seconds("ttft", around),
        latency_s=_seconds("latency", around),
        cost_usd=0.0 if cached else cost,
        http_status=coerce.small_integer("status_code", status),
        retries=coerce.small_integer("retries", around.get("retries")),
        guardrail_verdicts=around.get("guardrail_verdicts"),
        tags=tags,
        feedback=feedback,
    )
    return finish(call, answer, error=around.get("error"))


def _provider(exchange: Exchange, api: Api, answer: Answer, model: str | None) -> str:
    return answer.provider or provider_of(exchanges.host_of(exchange.uri), api.provider, model)


def _metadata(around: dict[str, Json], request: dict[str, Json]) -> dict[str, Json]:
    """`labels` are what Vertex AI calls it."""
    merged: dict[str, Json] = {}
    for value in (request.get("labels"), request.get("metadata"), around.get("metadata")):
        if isinstance(value, dict):
            merged.update(value)
        elif value is not None:
            merged["metadata"] = value
    return merged


def _said(holder: dict[str, Json]) -> dict[str, str | None]:
    """The texts that it has, of two names for one the earlier in the table."""
    found = {key: _FIELDS[key] for key, value in holder.items()
             if value is not None and key in _FIELDS}  # fmt: skip
    return {field: coerce.text(field, coerce.first(holder, *_LINE_TEXTS[field]))
            for field in found.values()}  # fmt: skip


def _seconds(name: str, around: dict[str, Json]) -> float | None:
    if around.get(f"{name}_s") is not None:
        return coerce.number(f"{name}_s", around[f"{name}_s"])
    return coerce.seconds(f"{name}_ms", around.get(f"{name}_ms"), 1000.0)


def _tags(around: dict[str, Json], metadata: dict[str, Json]) -> dict[str, Json]:
    tags = {key: value for key, value in metadata.items() if key not in _FIELDS}
    for key, value in around.items():
        if key not in _FIELDS and key not in _LINE_OTHER and value is not None:
            tags[key] = value
    if around.get("error"):
        tags["error"] = around["error"]
    return tags
