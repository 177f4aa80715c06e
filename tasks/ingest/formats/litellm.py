"""LiteLLM: StandardLoggingPayload, and rows of its spend logs.

Times lack a zone and mean UTC; `cache_hit` may be the text "None"; a spend log has JSON as text,
"{}" where messages and response are not kept. Source: litellm's types StandardLoggingPayload and
SpendLogsPayload.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.ingest import coerce
from tasks.ingest.formats import bodies, openai_bodies
from tasks.ingest.formats.bodies import Answer, Body
from tasks.ingest.messages import flatten_content, message_list
from tasks.ingest.records import Call, Json, Record, UnreadableError

NAME = "litellm"
VERSION = "litellm@1"

_TAGS = ("trace_id", "model_group", "model_id", "api_base", "cache_key", "request_tags")
_NO_CALLS = frozenset({"aretrieve_batch", "afile_content", "alist_models", "acreate_file"})


def matches(value: Json) -> bool:
    """Both have these; the first has an id and a status, the second a request_id and its spend."""
    if not isinstance(value, dict) or not {"call_type", "startTime", "endTime"} <= value.keys():
        return False
    return "spend" in value or "response_cost" in value


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict) or "call_type" not in value:
        raise UnreadableError("no call_type: not a record of LiteLLM")
    answer = openai_bodies.read_answer(Body(_kept(value.get("response"))))
    metadata = _kept(value.get("metadata"))
    metadata = metadata if isinstance(metadata, dict) else {}
    failure = _failure(value, metadata)
    started = coerce.moment("startTime", value.get("startTime"))
    ended = coerce.moment("endTime", value.get("endTime"))
    first = coerce.moment("completionStartTime", value.get("completionStartTime"))
    is_stream = value.get("stream") is True
    message = None if answer.message is None else flatten_content(answer.message)
    # a log that keeps no answers is no log of missing answers
    is_kept = value.get("response") not in (None, "", "{}", {})
    error = failure or ("no_completion" if is_kept and message is None else None)
    yield Call(
        request_id=coerce.text("id", value.get("request_id") or value.get("id")),
        started_at=started,
        provider=coerce.text("provider", value.get("custom_llm_provider")),
        model=coerce.text("model", value.get("model")),
        session_id=coerce.text("session_id", value.get("session_id")),
        user=coerce.text("user", value.get("end_user") or value.get("user")),
        operation=_operation(value["call_type"]),
        messages=_messages(value),
        response=message,
        tool_calls=message.get("tool_calls") if message else None,
        finish_reason=answer.finish_reason,
        params=_kept(value.get("model_parameters")),
        **_tokens(value, answer),
        ttft_s=(first - started).total_seconds() if is_stream and first and started else None,
        latency_s=(ended - started).total_seconds() if ended and started else None,
        cost_usd=coerce.number("spend", value.get("spend", value.get("response_cost"))),
        status="ok" if error is None else "error",
        error_type=error,
        http_status=_http_status(value, metadata),
        retries=coerce.small_integer("retries", metadata.get("attempted_retries")),
        guardrail_verdicts=_kept(
            value.get("guardrail_information") or metadata.get("guardrail_information")
        ),
        tags=_tags(value, answer),
    )  # fmt: skip


def _kept(value: Json) -> Json:
    """JSON text read; what stands for nothing is nothing."""
    found = bodies.decode(value)
    return None if found in ("", {}, []) else found


def _failure(value: dict[str, Json], metadata: dict[str, Json]) -> str | None:
    told = value.get("error_information") or metadata.get("error_information")
    name = None
    if isinstance(told, dict):
        name = told.get("error_class") or told.get("error_code")
    if value.get("status") == "failure" or name:
        return coerce.text("error_class", name) or "error"
    return None


def _http_status(value: dict[str, Json], metadata: dict[str, Json]) -> int | None:
    """LiteLLM's error code, which is that of HTTP where the provider gave one."""
    told = value.get("error_information") or metadata.get("error_information")
    code = str(told.get("error_code") or "") if isinstance(told, dict) else ""
    return int(code) if len(code) == 3 and code.isdecimal() and code.isascii() else None


def _operation(call_type: Json) -> str:
    word = str(call_type).removeprefix("a")
    return {"completion": "chat", "embedding": "embeddings"}.get(word, word)


def _messages(value: dict[str, Json]) -> Json:
    found = _kept(value.get("messages"))
    if found is None:
        asked = _kept(value.get("proxy_server_request"))
        found = asked.get("messages") if isinstance(asked, dict) else None
    return None if found is None else message_list("messages", found)


def _tokens(value: dict[str, Json], answer: Answer) -> dict[str, Any]:
    names = {
        "input_tokens": "prompt_tokens",
        "output_tokens": "completion_tokens",
        "total_tokens": "total_tokens",
    }
    own = {ours: coerce.integer(theirs, value.get(theirs)) for ours, theirs in names.items()}
    return {**answer.tokens, **{name: n for name, n in own.items() if n is not None}}


def _tags(value: dict[str, Json], answer: Answer) -> dict[str, Json]:
    tags = {name: _kept(value.get(name)) for name in _TAGS}
    hit = value.get("cache_hit")
    tags["cache_hit"] = None if str(hit).lower() in ("none", "") else hit
    tags["error"] = _kept(value.get("error_str"))
    return {**{name: item for name, item in tags.items() if item is not None}, **answer.tags}
