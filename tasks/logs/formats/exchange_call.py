"""An exchange → a call: what the bodies say, and what the line says around them.

Also what pair logs and cassettes have in common, whatever API they speak: records of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.exchange import Api, Exchange
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import Answer, finish
from tasks.logs.shapes.feedback import feedback_alone, is_feedback_record, read_feedback
from tasks.logs.shapes.json_text import dump_bytes
from tasks.logs.shapes.records import Call, Dead, Feedback, Json, Other, Record, UnreadableError

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
    "request", "response", "request_id", "id", "timestamp", "started_at", "latency_ms",
    "latency_s", "ttft_ms", "ttft_s", "status_code", "http_status", "error", "metadata",
    "feedback", "retries", "cost_usd", "guardrail_verdicts", "operation",
)  # fmt: skip


def pair_matches(value: Json, ours: tuple[Api, ...], apis: tuple[Api, ...]) -> bool:
    """A pair, a cassette or an answer alone that speaks one of `ours` rather than another API."""
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("interactions"), list):
        found = (exchanges.of_cassette(item) for item in value["interactions"])
        return any(each is not None and _speaks(each, ours, apis) for each in found)
    if any(api.is_answer(value) for api in ours):
        return True
    if not isinstance(value.get("request"), dict):
        return False
    if "response" not in value and "error" not in value:
        return False
    return exchanges.api_of(exchanges.pair_of(value), apis) in ours


def _speaks(exchange: Exchange, ours: tuple[Api, ...], apis: tuple[Api, ...]) -> bool:
    path = exchanges.path_of(exchange.uri) or ""
    ends = [f"{end}/" for api in ours for end in api.paths]
    helps = exchanges.runs_no_model(path) and any(end in path for end in ends)
    return helps or exchanges.api_of(exchange, apis) in ours


def pair_records(value: Json, ours: Api, apis: tuple[Api, ...]) -> Iterator[Record]:
    """Each exchange by the API it speaks; by `ours` where nothing tells."""
    value = coerce.an_object(value)
    if isinstance(value.get("interactions"), list):
        yield from _cassette(value["interactions"], apis)
    elif is_feedback_record(value):
        yield feedback_alone(value)
    elif any(api.is_answer(value) for api in apis):
        request = {key: value[key] for key in ("messages", "metadata") if value.get(key)}
        alone = Exchange(exchanges.Body(request), exchanges.Body(value))
        yield from _with_feedback(alone, value.get("feedback"), ours, apis)
    elif "request" in value and ("response" in value or "error" in value):
        pair = exchanges.pair_of(value)
        yield from _with_feedback(pair, value.get("feedback"), ours, apis)
    else:
        raise UnreadableError("neither a request with its response nor a completion")


def _with_feedback(
    exchange: Exchange, given: Json, ours: Api, apis: tuple[Api, ...]
) -> Iterator[Record]:
    try:
        feedback, broken = read_feedback(given), None
    except UnreadableError as error:
        feedback, broken = (), Dead(str(error), dump_bytes(given))
    if _is_at_work(exchange):
        yield Other()
    else:
        yield call_of(exchange, exchanges.api_of(exchange, apis) or ours, feedback)
    if broken is not None:
        yield broken


def _cassette(interactions: list[Json], apis: tuple[Api, ...]) -> Iterator[Record]:
    for item in interactions:
        exchange = exchanges.of_cassette(item)
        api = None if exchange is None else exchanges.api_of(exchange, apis)
        helps = exchange is not None and exchanges.runs_no_model(exchange.uri)
        if helps or (exchange is not None and _is_at_work(exchange)):
            yield Other()
            continue
        if exchange is None or api is None:
            yield Dead("an exchange of the cassette that is no model call", dump_bytes(item))
            continue
        host = exchanges.host_of(exchange.uri)
        around = {
            "provider": exchanges.provider_of(host, api.provider), "server.address": host,
        }  # fmt: skip
        try:
            call = call_of(replace(exchange, around=around), api)
        except UnreadableError as error:
            yield Dead(str(error), dump_bytes(item))
            continue
        yield call


def _is_at_work(exchange: Exchange) -> bool:
    """A response in the background is an answer only once it is done."""
    value = exchange.response.value
    status = coerce.first(value, "status")
    return status in ("queued", "in_progress") and value.get("object") == "response"


def call_of(exchange: Exchange, api: Api, feedback: tuple[Feedback, ...] = ()) -> Call:
    """Raises UnreadableError where a field cannot be held."""
    around = exchange.around
    if exchange.request.value not in (None, "") and not isinstance(exchange.request.value, dict):
        raise UnreadableError(
            f"request: expected an object, received {coerce.kind_of(exchange.request.value)}"
        )
    request: dict[str, Json] = exchange.request.value or {}
    answer = api.read_answer(exchange.response.value)
    metadata = _metadata(around, request)
    texts: dict[str, Any] = {
        name: _text(name, names, around, metadata) for name, names in _LINE_TEXTS.items()
    }
    texts["user"] = texts["user"] or coerce.text("user", request.get("user"))
    texts["provider"] = texts["provider"] or api.provider
    status = around.get("status_code", around.get("http_status", exchange.response.status))
    call = Call(
        **texts,
        request_id=answer.response_id or _own_id(around),
        started_at=_started_at(around, answer.created),
        model=answer.model or coerce.text("model", request.get("model")) or _model_in(exchange.uri),
        operation=coerce.text("operation", around.get("operation")) or _operation(request, api),
        messages=api.read_messages(request),
        params=api.params(request),
        ttft_s=_seconds("ttft", around),
        latency_s=_seconds("latency", around),
        cost_usd=coerce.number("cost_usd", around.get("cost_usd")),
        http_status=coerce.small_integer("status_code", status),
        retries=coerce.small_integer("retries", around.get("retries")),
        guardrail_verdicts=around.get("guardrail_verdicts"),
        tags=_tags(exchange, answer, request, metadata),
        feedback=feedback,
    )
    return finish(call, answer, error=around.get("error"))


def _model_in(uri: Json) -> str | None:
    """Bedrock and Gemini name the model in the address only."""
    found = _MODEL.search(uri) if isinstance(uri, str) else None
    return unquote(found[1] or found[2]) if found else None


def _operation(request: dict[str, Json], api: Api) -> str:
    if api.operation == "chat" and "prompt" in request and "messages" not in request:
        return "text_completion"
    return api.operation


def _own_id(around: dict[str, Json]) -> str | None:
    return coerce.text("request_id", around.get("request_id", around.get("id")))


def _metadata(around: dict[str, Json], request: dict[str, Json]) -> dict[str, Json]:
    merged: dict[str, Json] = {}
    for value in (request.get("metadata"), around.get("metadata")):
        if isinstance(value, dict):
            merged.update(value)
        elif value is not None:
            merged["metadata"] = value
    return merged


def _text(
    name: str, names: tuple[str, ...], around: dict[str, Json], metadata: dict[str, Json]
) -> str | None:
    for place in (around, metadata):
        for key in names:
            if place.get(key) is not None:
                return coerce.text(name, place[key])
    return None


def _started_at(around: dict[str, Json], created: Json) -> datetime | None:
    said = around.get("started_at", around.get("timestamp"))
    return coerce.moment(
        "created" if said is None else "started_at", created if said is None else said
    )


def _seconds(name: str, around: dict[str, Json]) -> float | None:
    if around.get(f"{name}_s") is not None:
        return coerce.number(f"{name}_s", around[f"{name}_s"])
    return coerce.seconds(f"{name}_ms", around.get(f"{name}_ms"), 1000.0)


def _tags(
    exchange: Exchange, answer: Answer, request: dict[str, Json], metadata: dict[str, Json]
) -> dict[str, Json]:
    taken = {name for names in _LINE_TEXTS.values() for name in names}
    tags = {key: value for key, value in metadata.items() if key not in taken}
    for key, value in exchange.around.items():
        if key not in taken and key not in _LINE_OTHER and value is not None:
            tags[key] = value
    own = _own_id(exchange.around)
    if own is not None and answer.response_id is not None and own != answer.response_id:
        tags["request_id"] = own
    if exchange.around.get("error"):
        tags["error"] = exchange.around["error"]
    requested = request.get("model")
    if answer.model and requested and requested != answer.model:
        tags["request_model"] = requested
    return tags
