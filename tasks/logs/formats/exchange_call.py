"""An exchange → a call: what the bodies say, and what the line says around them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.exchange import Api, Exchange
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import finish
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
_LINE_OTHER = (
    *exchanges.REQUEST, *exchanges.RESPONSE, "request_id", "id", "timestamp", "started_at",
    "latency_ms", "latency_s", "ttft_ms", "ttft_s", "status_code", "http_status", "error",
    "metadata", "feedback", "retries", "cost_usd", "guardrail_verdicts", "operation",
)  # fmt: skip


def call_of(exchange: Exchange, api: Api, feedback: tuple[Feedback, ...] = ()) -> Call:
    """Raises UnreadableError where a field cannot be held."""
    around, asked = exchange.around, exchange.request
    if asked not in (None, "") and not isinstance(asked, dict):
        raise UnreadableError(f"request: expected an object, received {coerce.kind_of(asked)}")
    request: dict[str, Json] = asked or {}
    answer = api.read_answer(exchange.response)
    metadata = _metadata(around, request)
    texts: dict[str, Any] = {
        name: coerce.text(name, _said(names, around, metadata))
        for name, names in _LINE_TEXTS.items()
    }
    texts["user"] = texts["user"] or coerce.text("user", request.get("user"))
    texts["provider"] = texts["provider"] or api.provider
    own_id = coerce.text("request_id", around.get("request_id", around.get("id")))
    started = around.get("started_at", around.get("timestamp"))
    requested = coerce.text("model", request.get("model"))
    # Bedrock and Gemini name the model in the address only
    addressed = _MODEL.search(exchange.uri) if isinstance(exchange.uri, str) else None
    tags = _tags(around, metadata)
    if own_id is not None and answer.response_id not in (None, own_id):
        tags["request_id"] = own_id
    if answer.model and requested and requested != answer.model:
        tags["request_model"] = requested
    prompted = api.operation == "chat" and "prompt" in request and "messages" not in request
    operation = "text_completion" if prompted else api.operation
    status = around.get("status_code", around.get("http_status", exchange.status))
    call = Call(
        **texts,
        request_id=answer.response_id or own_id,
        started_at=coerce.moment("started_at", answer.created if started is None else started),
        model=answer.model or requested or (addressed and unquote(addressed[1] or addressed[2])),
        operation=coerce.text("operation", around.get("operation")) or operation,
        messages=api.read_messages(request),
        params=api.params(request),
        ttft_s=_seconds("ttft", around),
        latency_s=_seconds("latency", around),
        cost_usd=coerce.number("cost_usd", around.get("cost_usd")),
        http_status=coerce.small_integer("status_code", status),
        retries=coerce.small_integer("retries", around.get("retries")),
        guardrail_verdicts=around.get("guardrail_verdicts"),
        tags=tags,
        feedback=feedback,
    )
    return finish(call, answer, error=around.get("error"))


def _metadata(around: dict[str, Json], request: dict[str, Json]) -> dict[str, Json]:
    merged: dict[str, Json] = {}
    for value in (request.get("metadata"), around.get("metadata")):
        if isinstance(value, dict):
            merged.update(value)
        elif value is not None:
            merged["metadata"] = value
    return merged


def _said(names: tuple[str, ...], around: dict[str, Json], metadata: dict[str, Json]) -> Json:
    on_the_line = coerce.first(around, *names)
    return coerce.first(metadata, *names) if on_the_line is None else on_the_line


def _seconds(name: str, around: dict[str, Json]) -> float | None:
    if around.get(f"{name}_s") is not None:
        return coerce.number(f"{name}_s", around[f"{name}_s"])
    return coerce.seconds(f"{name}_ms", around.get(f"{name}_ms"), 1000.0)


def _tags(around: dict[str, Json], metadata: dict[str, Json]) -> dict[str, Json]:
    taken = {name for names in _LINE_TEXTS.values() for name in names}
    tags = {key: value for key, value in metadata.items() if key not in taken}
    for key, value in around.items():
        if key not in taken and key not in _LINE_OTHER and value is not None:
            tags[key] = value
    if around.get("error"):
        tags["error"] = around["error"]
    return tags
