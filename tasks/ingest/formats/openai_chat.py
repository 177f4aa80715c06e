"""OpenAI chat completions: request/response pairs, completion objects, recorded HTTP cassettes.

A pair is {"request": body, "response": body, …}, each body bare or under "body". A completion
object may stand alone (stored completions carry their "messages"). A cassette is VCR's
{"interactions": […]}. An HTTP 200 without a completion is an error row, never an answer.

Source: the OpenAI API reference, chat completion object and chunk object. Reasoning tokens are
part of completion_tokens there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.ingest import coerce
from tasks.ingest.feedback import feedback_alone, is_feedback_record, read_feedback
from tasks.ingest.formats import openai_bodies
from tasks.ingest.formats.openai_bodies import Body
from tasks.ingest.json_text import dump_bytes
from tasks.ingest.messages import flatten_content, message_list
from tasks.ingest.records import Call, Dead, Feedback, Json, Record, UnreadableError

NAME = "openai_chat"
VERSION = "openai_chat@1"

#: of the request body: no sampling parameter
_NOT_PARAMS = frozenset({"messages", "prompt", "input", "model", "user", "metadata"})
_OBJECTS = frozenset({"chat.completion", "text_completion"})
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


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One HTTP exchange with whatever the line says around it."""

    request: Body
    response: Body
    around: dict[str, Json] = field(default_factory=dict)


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("interactions"), list):
        return any(_is_chat(item) for item in value["interactions"])
    if openai_bodies.is_completion(value):
        return True
    if not isinstance(value.get("request"), dict):
        return False
    request = openai_bodies.unwrap(value["request"]).value
    asked = isinstance(request, dict) and ("messages" in request or "prompt" in request)
    answered = "response" in value and openai_bodies.is_completion(
        openai_bodies.unwrap(value["response"]).value
    )
    return ("response" in value or "error" in value) and (asked or answered)


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, received {coerce.kind_of(value)}")
    if isinstance(value.get("interactions"), list):
        yield from _cassette(value["interactions"])
    elif is_feedback_record(value):
        yield feedback_alone(value)
    elif openai_bodies.is_completion(value):
        request = {key: value[key] for key in ("messages", "metadata") if value.get(key)}
        yield from _with_feedback(_Exchange(Body(request), Body(value)), value.get("feedback"))
    elif "request" in value and ("response" in value or "error" in value):
        exchange = _Exchange(
            openai_bodies.unwrap(value["request"]), openai_bodies.unwrap(value.get("response")),
            value,
        )  # fmt: skip
        yield from _with_feedback(exchange, value.get("feedback"))
    else:
        raise UnreadableError("neither a request with its response nor a chat completion")


def _with_feedback(exchange: _Exchange, given: Json) -> Iterator[Record]:
    try:
        feedback, broken = read_feedback(given), None
    except UnreadableError as error:
        feedback, broken = (), Dead(str(error), dump_bytes(given))
    yield _call(exchange, feedback)
    if broken is not None:
        yield broken


def _cassette(interactions: list[Json]) -> Iterator[Record]:
    for item in interactions:
        if not _is_chat(item):
            yield Dead("an exchange of the cassette that is no chat completion", dump_bytes(item))
            continue
        request, response = item["request"], item.get("response")
        host = openai_bodies.host_of(request.get("uri"))
        around = {"provider": openai_bodies.provider_of(host), "server.address": host}
        exchange = _Exchange(openai_bodies.unwrap(request), openai_bodies.unwrap(response), around)
        try:
            call = _call(exchange, ())
        except UnreadableError as error:
            yield Dead(str(error), dump_bytes(item))
            continue
        yield call


def _is_chat(item: Json) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("request"), dict):
        return False
    uri = item["request"].get("uri") or item["request"].get("url")
    return isinstance(uri, str) and uri.split("?")[0].rstrip("/").endswith("/completions")


def _call(exchange: _Exchange, feedback: tuple[Feedback, ...]) -> Call:
    around = exchange.around
    if exchange.request.value is not None and not isinstance(exchange.request.value, dict):
        raise UnreadableError(
            f"request: expected an object, received {coerce.kind_of(exchange.request.value)}"
        )
    request: dict[str, Json] = exchange.request.value or {}
    answer = openai_bodies.read_answer(exchange.response)
    metadata = _metadata(around, request)
    texts: dict[str, Any] = {
        name: _text(name, names, around, metadata) for name, names in _LINE_TEXTS.items()
    }
    texts["user"] = texts["user"] or coerce.text("user", request.get("user"))
    texts["provider"] = texts["provider"] or "openai"
    status = around.get("status_code", around.get("http_status", exchange.response.status))
    http_status = coerce.small_integer("status_code", status)
    error_type = _error_type(around.get("error"), answer, http_status)
    return Call(
        **texts,
        **answer.tokens,
        request_id=answer.response_id or _own_id(around),
        started_at=_started_at(around, answer.created),
        model=answer.model or coerce.text("model", request.get("model")),
        operation=coerce.text("operation", around.get("operation")) or _operation(request),
        messages=_messages(request),
        response=None if answer.message is None else flatten_content(answer.message),
        tool_calls=answer.message.get("tool_calls") if answer.message else None,
        finish_reason=answer.finish_reason,
        params={k: v for k, v in request.items() if k not in _NOT_PARAMS} or None,
        ttft_s=_seconds("ttft", around),
        latency_s=_seconds("latency", around),
        cost_usd=coerce.number("cost_usd", around.get("cost_usd")),
        status="ok" if error_type is None else "error",
        error_type=error_type,
        http_status=http_status,
        retries=coerce.small_integer("retries", around.get("retries")),
        guardrail_verdicts=around.get("guardrail_verdicts"),
        tags=_tags(exchange, answer, request, metadata),
        feedback=feedback,
    )


def _error_type(said: Json, answer: openai_bodies.Answer, http_status: int | None) -> str | None:
    if said:
        return openai_bodies.error_name(said)
    if answer.error is not None:
        return openai_bodies.error_name(answer.error)
    if http_status is not None and http_status >= 400:
        return str(http_status)
    return "no_completion" if answer.message is None else None


def _messages(request: dict[str, Json]) -> Json:
    value = request.get("messages", request.get("prompt"))
    return None if value is None else message_list("messages", value)


def _operation(request: dict[str, Json]) -> str:
    return "text_completion" if "prompt" in request and "messages" not in request else "chat"


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
    exchange: _Exchange,
    answer: openai_bodies.Answer,
    request: dict[str, Json],
    metadata: dict[str, Json],
) -> dict[str, Json]:
    taken = {name for names in _LINE_TEXTS.values() for name in names}
    tags = {key: value for key, value in metadata.items() if key not in taken}
    for key, value in exchange.around.items():
        if key not in taken and key not in _LINE_OTHER and value is not None:
            tags[key] = value
    own = _own_id(exchange.around)
    if own is not None and answer.response_id is not None and own != answer.response_id:
        tags["request_id"] = own
    said = exchange.around.get("error") or answer.error
    if said:
        tags["error"] = said
    if answer.message is None and answer.leftover is not None:
        tags["response_body"] = answer.leftover
    requested = request.get("model")
    if answer.model and requested and requested != answer.model:
        tags["request_model"] = requested
    if answer.other_choices:
        tags["other_choices"] = answer.other_choices
    tags.update(answer.tags)
    return tags
