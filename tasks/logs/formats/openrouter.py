"""OpenRouter: rows of the activity export and generations of its API.

No texts. Native tokens are those of the model itself, which are billed; reasoning is part of the
completion. What is told of time is either that of the generation or that of all: the longer one is
taken. Daily sums of /activity are no calls; broadcasts are OTLP. Source: OpenRouter's API
reference, /generation, and its activity export.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.pages import items_under
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Json, Record, UnreadableError

NAME = "openrouter"
VERSION = "openrouter@1"

_ROW = ("generation_id", "model_permaslug", "tokens_prompt", "tokens_completion")
_GENERATION = ("id", "model", "tokens_prompt", "tokens_completion")
_READ = frozenset({
    *_ROW, *_GENERATION, "created_at", "cost_total", "total_cost", "usage", "provider_name", "user",
    "external_user", "session_id", "generation_time_ms", "generation_time", "latency",
    "time_to_first_token_ms", "finish_reason_normalized", "finish_reason_raw", "finish_reason",
    "native_finish_reason", "tokens_reasoning", "tokens_cached", "native_tokens_prompt",
    "native_tokens_completion", "native_tokens_reasoning", "native_tokens_cached", "cancelled",
    "api_type", "streamed",
})  # fmt: skip
_NOTHING: tuple[Json, ...] = (None, "", [], {})
_OPERATIONS = {"completions": "chat", "embeddings": "embeddings"}


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    page = items_under(value, "data")
    return _is_one(value) if page is None else any(map(_is_one, page))


def _is_one(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    if not isinstance(coerce.first(value, "generation_id", "id"), str):
        return False
    generation = all(key in value for key in _GENERATION) and (
        "native_tokens_prompt" in value or "provider_name" in value
    )
    return generation or all(key in value for key in _ROW)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    page = items_under(value, "data")
    if page:
        for item in page:
            yield or_dead(item, _call, item)
    else:
        yield _call(value)


def _call(value: Json) -> Call:
    if not isinstance(value, dict) or not _is_one(value):
        raise UnreadableError("neither a row of OpenRouter's activity nor a generation")
    item = {key: each for key, each in value.items() if each not in _NOTHING}
    cost = coerce.first(item, "cost_total", "total_cost", "usage")
    reason = coerce.first(item, "finish_reason_normalized", "finish_reason", "finish_reason_raw")
    took = [
        coerce.seconds(name, item[name], 1000.0)
        for name in ("generation_time_ms", "generation_time", "latency")
        if name in item
    ]
    kind = coerce.text("api_type", item.get("api_type"))
    call = Call(
        request_id=coerce.text("id", coerce.first(item, "generation_id", "id")),
        started_at=coerce.moment("created_at", item.get("created_at")),
        provider=named(coerce.text("provider_name", item.get("provider_name"))),
        model=coerce.text("model", coerce.first(item, "model_permaslug", "model")),
        session_id=coerce.text("session_id", item.get("session_id")),
        user=coerce.text("user", coerce.first(item, "user", "external_user")),
        operation=_OPERATIONS.get(kind or "completions", kind),
        finish_reason=coerce.text("finish_reason", reason),
        **_counts(item),
        ttft_s=coerce.seconds("time_to_first_token_ms", item.get("time_to_first_token_ms"), 1000.0),
        latency_s=max((each for each in took if each is not None), default=None),
        cost_usd=coerce.number("cost", cost),
        tags={key: each for key, each in item.items() if key not in _READ},
    )
    cancelled = str(item.get("cancelled")).lower() in ("true", "1")
    failed = call.finish_reason == "error"
    return finish(call, error="cancelled" if cancelled else "error" if failed else None)


def _counts(item: dict[str, Json]) -> dict[str, Any]:
    """The model's own where there are any, else those of OpenRouter's tokenizer."""
    names = {
        "input_tokens": "prompt", "output_tokens": "completion", "reasoning_tokens": "reasoning",
        "cached_tokens": "cached",
    }  # fmt: skip
    return usage.tokens(
        {
            name: item.get(f"native_tokens_{word}", item.get(f"tokens_{word}"))
            for name, word in names.items()
        }
    )
