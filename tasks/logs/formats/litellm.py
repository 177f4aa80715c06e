"""LiteLLM: the StandardLoggingPayload of its callbacks, and the rows of its spend logs.

Times come as epoch seconds or as text without a zone, which is taken for UTC. In spend logs nested
values are JSON text, "{}" stands for nothing and cache_hit may be the text "None". A call that a
guardrail stopped is a verdict, not an error. What runs no model (tools, files, responses that are
read again) is no call; an answer from the cache is one that costs nothing, with a tag. Source:
LiteLLM's logging specification, its LiteLLM_SpendLogs table and its CallTypes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tasks.logs.formats.apis import CHAT, api_of
from tasks.logs.formats.exchange import Exchange, decode
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import FROM_CACHE, NOT_RECORDED, Answer, finish, verdict
from tasks.logs.shapes.messages import message_list
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = "litellm"
VERSION = "litellm@4"

_READ = frozenset({
    "id", "request_id", "call_type", "status", "custom_llm_provider", "startTime", "endTime",
    "completionStartTime", "model", "metadata", "response_cost", "spend", "total_tokens",
    "prompt_tokens", "completion_tokens", "end_user", "user", "session_id", "trace_id", "messages",
    "response", "model_parameters", "error_str", "error_information", "guardrail_information",
    "model_map_information", "hidden_params", "proxy_server_request", "request_tags", "stream",
    "response_time", "api_key", "standard_built_in_tools_params", "cache_hit",
})  # fmt: skip
#: the calls of CallTypes, without their `a` of async
_OPERATIONS = {
    "completion": "chat", "text_completion": "text_completion", "embedding": "embeddings",
    "responses": "chat", "_responses_websocket": "chat", "anthropic_messages": "chat",
    "generate_content": "chat", "generate_content_stream": "chat",
    "pass_through_endpoint": "chat", "llm_passthrough_route": "chat", "_realtime": "chat",
    "run_thread": "chat", "run_thread_stream": "chat",
    "image_generation": "image_generation", "image_edit": "image_generation",
    "transcription": "transcription", "speech": "speech",
}  # fmt: skip
#: words of its other types: they run no model, or none that answers
_NO_CALL = re.compile(
    r"mcp|tool|moderation|rerank|search|batch|file|assistant|thread|fine_tuning|video|vector_store"
    r"|container|sandbox|run_code|ocr$|skill|ingest|query|(?:send|add|get)_message|secret|session"
    r"|realtime_calls|(?:get|list|delete|cancel|retrieve)_"
)
#: what of these comes back are sound and pictures, which are not kept
_UNKEPT = ("image_generation", "transcription", "speech")
#: what these log is no body of an API that we could expect
_LOOSE = ("pass_through", "passthrough", "realtime", "run_thread")
_NOTHING: tuple[Json, ...] = (None, "", "None", "{}", "[]", {}, [])
_STOPPED = ("guardrail_intervened", "blocked", "intervened")


def matches(value: Json) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("call_type", 0), str | None):
        return False
    return "startTime" in value and ("spend" in value or "response_cost" in value)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    if "call_type" not in value and "startTime" not in value:
        raise UnreadableError("neither call_type nor startTime of a LiteLLM log is in it")
    operation = _operation(value)
    yield Other() if operation is None else _call(value, operation)


def _operation(value: dict[str, Json]) -> str | None:
    """None: no model was run. A type that is not known is read as a call and keeps its word; older
    logs may not tell it: then it was a completion."""
    kind = str(value.get("call_type") or "completion")
    for name in (kind, kind.removeprefix("a"), kind.replace("_a", "_", 1)):
        if name in _OPERATIONS:
            return _OPERATIONS[name]
    return None if _NO_CALL.search(kind) else kind


def _call(value: dict[str, Json], operation: str) -> Call:
    metadata = coerce.mapping(_nested(value.get("metadata")))
    question = _nested(value.get("messages"))
    body = coerce.mapping(_nested(value.get("proxy_server_request")))
    if question is None:
        question = body or None
    if isinstance(question, dict) and ("messages" in question or "input" in question):
        question = (api_of(Exchange(question, None)) or CHAT).read_messages(question)
    elif question is not None:
        question = message_list("messages", question)
    answer = Answer(complete=True)
    if operation not in _UNKEPT:
        loose = any(word in str(value.get("call_type")) for word in _LOOSE)
        answer = _answer(_nested(value.get("response")), loose=loose)
    error, http_status = _error(value, metadata)
    started, latency, ttft = _times(value)
    cached = str(value.get("cache_hit")).lower() == "true"
    cost = coerce.number("response_cost", value.get("response_cost", value.get("spend")))
    call = Call(
        request_id=coerce.text("id", value.get("id") or value.get("request_id")),
        started_at=started,
        provider=named(coerce.text("custom_llm_provider", value.get("custom_llm_provider"))),
        model=answer.model or coerce.text("model", value.get("model")),
        session_id=coerce.text("session_id", value.get("session_id") or value.get("trace_id")),
        user=coerce.text("end_user", value.get("end_user") or value.get("user")),
        operation=operation,
        messages=question,
        params=_nested(value.get("model_parameters")) or _params(body),
        **_counts(value, metadata),
        ttft_s=ttft,
        latency_s=latency,
        cost_usd=0.0 if cached else cost,
        http_status=http_status,
        retries=coerce.small_integer("retries", metadata.get("attempted_retries")),
        guardrail_verdicts=_verdicts(value, metadata),
        tags={**_tags(value, metadata), **({FROM_CACHE: True} if cached else {})},
    )
    return finish(call, answer, error=error)


def _params(body: dict[str, Json]) -> dict[str, Json] | None:
    """Of the request as it came in, which spend logs may hold."""
    return (api_of(Exchange(body, None)) or CHAT).params(body)


def _nested(value: Json) -> Json:
    """A value that may be JSON text; what stands for nothing is None."""
    inner = decode(value)
    return None if inner in _NOTHING else inner


def _answer(value: Json, *, loose: bool) -> Answer:
    if value is None:
        return NOT_RECORDED
    if isinstance(value, str):
        return Answer(message={"role": "assistant", "content": value})
    api = api_of(Exchange(None, value))
    if api is None and loose:
        return NOT_RECORDED
    answer = Answer(body=value) if api is None else api.read_answer(value)
    answer.response_id = None  # that of a cached answer is of another call
    return answer


def _counts(value: dict[str, Json], metadata: dict[str, Json]) -> dict[str, Any]:
    """The line's own counts; cached and reasoning tokens stand only in the usage."""
    details = usage.tokens(metadata.get("usage_object"))
    own = usage.tokens({**value, "prompt_tokens_details": None})
    return {name: own.get(name) if own.get(name) is not None else details.get(name)
            for name in own}  # fmt: skip


def _times(value: dict[str, Json]) -> tuple[datetime | None, float | None, float | None]:
    start = coerce.moment("startTime", value.get("startTime"))
    end = coerce.moment("endTime", value.get("endTime"))
    first = coerce.moment("completionStartTime", value.get("completionStartTime"))
    latency = (end - start).total_seconds() if start and end else None
    # without a stream the first token comes with the last
    streamed = value.get("stream") is True or (first is not None and first != end)
    ttft = (first - start).total_seconds() if start and first and streamed else None
    # clocks of several machines may run against each other
    return start, _not_negative(latency), _not_negative(ttft)


def _not_negative(seconds: float | None) -> float | None:
    return None if seconds is None or seconds < 0 else seconds


def _error(value: dict[str, Json], metadata: dict[str, Json]) -> tuple[str | None, int | None]:
    """(class, HTTP status) of a failure."""
    if _status(value, metadata) != "failure":
        return None, None
    about = coerce.mapping(value.get("error_information") or metadata.get("error_information"))
    code = str(about.get("error_code") or "")
    name = coerce.text("error_class", about.get("error_class")) or code or "failure"
    return name, int(code) if code.isdecimal() and len(code) == 3 else None


def _status(value: dict[str, Json], metadata: dict[str, Json]) -> Json:
    """Older spend logs have it in their metadata only."""
    return value.get("status") or metadata.get("status")


def _verdicts(value: dict[str, Json], metadata: dict[str, Json]) -> list[dict[str, Json]]:
    """A guardrail that stepped in where the call went on changed the text, and blocked nothing."""
    failed = _status(value, metadata) == "failure"
    key = "guardrail_information"
    information = _nested(value.get(key)) or metadata.get(key)
    items = information if isinstance(information, list) else [information]
    verdicts: list[dict[str, Json]] = []
    for item in items:
        if isinstance(item, dict):
            stepped_in = item.get("guardrail_status") in _STOPPED
            verdicts.append(verdict(
                coerce.text("guardrail_name", item.get("guardrail_name")), stepped_in and failed,
                masked=stepped_in or bool(item.get("masked_entity_count")),
                stage=item.get("guardrail_mode"), status=item.get("guardrail_status"),
            ))  # fmt: skip
    return verdicts


def _tags(value: dict[str, Json], metadata: dict[str, Json]) -> dict[str, Json]:
    tags: dict[str, Any] = {
        key: item for key, item in value.items() if key not in _READ and item not in _NOTHING
    }
    labels = _nested(value.get("request_tags"))
    if labels is not None:
        tags["request_tags"] = labels
    message = value.get("error_str")
    if message:
        tags["error"] = message
    for key in ("user_api_key_alias", "user_api_key_team_alias", "applied_guardrails"):
        if metadata.get(key) not in _NOTHING:
            tags[key] = metadata[key]
    return tags
