"""Request/response pairs and recorded HTTP cassettes, whatever API the bodies speak.

A pair is {"request": body, "response": body, …}, each body bare or under "body"; what stands around
them (times, ids, session, workload) fills the fields that bodies do not know. That is also NVIDIA's
data flywheel record: timestamp, workload_id, client_id, request, response. A cassette is VCR's
{"interactions": […]}. An HTTP 200 without a completion is an error row, never an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.ingest import coerce
from tasks.ingest.feedback import read_feedback
from tasks.ingest.formats import bodies
from tasks.ingest.formats.bodies import Answer, Body
from tasks.ingest.json_text import dump_bytes
from tasks.ingest.messages import flatten_content
from tasks.ingest.records import Call, Dead, Feedback, Json, Record, UnreadableError

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
    "latency_s", "ttft_ms", "ttft_s", "status_code", "http_status", "error", "error_details",
    "metadata", "feedback", "retries", "cost_usd", "guardrail_verdicts", "operation",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one API's bodies look like. endpoints: how the path of a call ends; asks, answers:
    whether a request or response body is one of its; not_params: of the request body, no sampling
    parameter.
    """

    provider: str
    endpoints: tuple[str, ...]
    asks: Callable[[Json], bool]
    answers: Callable[[Json], bool]
    read_answer: Callable[[Body], Answer]
    read_messages: Callable[[dict[str, Json]], Json]
    operation: Callable[[dict[str, Json]], str]
    not_params: frozenset[str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange with whatever the line says around it."""

    request: Body
    response: Body
    around: dict[str, Json] = field(default_factory=dict)


def is_pair(value: Json, dialect: Dialect) -> bool:
    """The answer decides; without one, the question does."""
    if not isinstance(value, dict) or not isinstance(value.get("request"), dict | str):
        return False
    if "response" not in value and "error" not in value and "error_details" not in value:
        return False
    response = bodies.unwrap(value.get("response")).value
    if dialect.answers(response):
        return True
    return dialect.asks(bodies.unwrap(value["request"]).value)


def is_cassette(value: Json, dialect: Dialect) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("interactions"), list):
        return False
    return any(_is_call(item, dialect) for item in value["interactions"])


def read_pair(value: dict[str, Json], dialect: Dialect) -> Iterator[Record]:
    request, response = bodies.unwrap(value["request"]), bodies.unwrap(value.get("response"))
    yield from with_feedback(Exchange(request, response, value), value.get("feedback"), dialect)


def with_feedback(exchange: Exchange, given: Json, dialect: Dialect) -> Iterator[Record]:
    try:
        feedback, broken = read_feedback(given), None
    except UnreadableError as error:
        feedback, broken = (), Dead(str(error), dump_bytes(given))
    yield call_of(exchange, dialect, feedback)
    if broken is not None:
        yield broken


def read_cassette(value: dict[str, Json], dialect: Dialect) -> Iterator[Record]:
    for item in value["interactions"]:
        if not _is_call(item, dialect):
            yield Dead("an exchange of the cassette that is no model call", dump_bytes(item))
            continue
        request, response = item["request"], item.get("response")
        host = bodies.host_of(request.get("uri"))
        around = {"provider": provider_of(host, dialect), "server.address": host}
        exchange = Exchange(bodies.unwrap(request), bodies.unwrap(response), around)
        try:
            call = call_of(exchange, dialect, ())
        except UnreadableError as error:
            yield Dead(str(error), dump_bytes(item))
            continue
        yield call


def provider_of(host: str | None, dialect: Dialect) -> str:
    if host is None or host == f"api.{dialect.provider}.com":
        return dialect.provider
    return "azure.ai.openai" if host.endswith(".openai.azure.com") else host


def _is_call(item: Json, dialect: Dialect) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("request"), dict):
        return False
    uri = item["request"].get("uri") or item["request"].get("url")
    return isinstance(uri, str) and uri.split("?")[0].rstrip("/").endswith(dialect.endpoints)


def call_of(exchange: Exchange, dialect: Dialect, feedback: tuple[Feedback, ...]) -> Call:
    around = exchange.around
    if exchange.request.value is not None and not isinstance(exchange.request.value, dict):
        raise UnreadableError(
            f"request: expected an object, received {coerce.kind_of(exchange.request.value)}"
        )
    request: dict[str, Json] = exchange.request.value or {}
    answer = dialect.read_answer(exchange.response)
    metadata = _metadata(around, request)
    texts: dict[str, Any] = {
        name: _text(name, names, around, metadata) for name, names in _LINE_TEXTS.items()
    }
    texts["user"] = texts["user"] or coerce.text("user", request.get("user"))
    texts["provider"] = texts["provider"] or dialect.provider
    status = around.get("status_code", around.get("http_status", exchange.response.status))
    http_status = coerce.small_integer("status_code", status)
    error_type = _error_type(_said_error(around), answer, http_status)
    return Call(
        **texts,
        **answer.tokens,
        request_id=answer.response_id or _own_id(around),
        started_at=_started_at(around, answer.created),
        model=answer.model or coerce.text("model", request.get("model")),
        operation=coerce.text("operation", around.get("operation")) or dialect.operation(request),
        messages=dialect.read_messages(request),
        response=None if answer.message is None else flatten_content(answer.message),
        tool_calls=answer.message.get("tool_calls") if answer.message else None,
        finish_reason=answer.finish_reason,
        params={k: v for k, v in request.items() if k not in dialect.not_params} or None,
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


def _error_type(said: Json, answer: Answer, http_status: int | None) -> str | None:
    if said:
        return bodies.error_name(said)
    if answer.error is not None:
        return bodies.error_name(answer.error)
    if http_status is not None and http_status >= 400:
        return str(http_status)
    return "no_completion" if answer.message is None else None


def _said_error(around: dict[str, Json]) -> Json:
    return around.get("error") or around.get("error_details")


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
    exchange: Exchange,
    answer: Answer,
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
    said = _said_error(exchange.around) or answer.error
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
