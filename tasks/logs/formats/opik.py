"""Opik (Comet): spans of the export, of `search_spans` and of its API, and the traces around them.

Spans of type llm are calls, of two around one API call the inner; the thread of the trace is the
session. Counts stand as they came from the provider under `original_usage.`, which are believed:
those beside it add what was put into a cache to the output. Scores and comments of a trace speak
of its last call. Names are snake_case (Python, REST) or camelCase. Source: Opik's REST API.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tasks.logs.formats.exchange import an_object, decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.formats.traces import ASKED, Role, Row, Signal, Traces, error_class, first_told
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import finish
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Feedback, Json, Record, UnreadableError

NAME = "opik"
VERSION = "opik@2"

_TYPES = ("llm", "general", "tool", "guardrail")
#: of a span and of a trace, two of them
_SIGNS = (
    ("project_id", "projectId", "project_name", "projectName"),
    ("total_estimated_cost", "totalEstimatedCost"),
    ("feedback_scores", "feedbackScores"),
    ("error_info", "errorInfo"),
    ("last_updated_by", "lastUpdatedBy"),
    ("span_count", "spanCount"),
)
_METADATA = {
    "session_id": ("session_id", "thread_id", "conversation_id"),
    "user": ("user_id", "user"),
    "release": ("release", "revision", "service_version"),
    "prompt_name": ("prompt_name",),
    "prompt_version": ("prompt_version",),
}
_NOT_TAGS = frozenset({*(name for names in _METADATA.values() for name in names), "model",
                       "opik_prompts", "usage", "created_from"})  # fmt: skip
_ORIGINAL = "original_usage."
#: whose own counts leave out what is read from a cache and put there
_CACHE_APART = ("anthropic", "aws.bedrock")


def _rows(value: Json) -> list[Json]:
    if _is_span(value) or _is_trace(value):
        return [value]
    if not isinstance(value, dict):
        return []
    if _is_trace(value.get("trace")):  # a file of the export
        return [value["trace"], *coerce.sequence(value.get("spans"))]
    for name in ("content", "spans", "traces"):
        page = coerce.sequence(value.get(name))
        if any(_is_span(item) or _is_trace(item) for item in page):
            return page
    return []


def _get(row: Row, name: str) -> Json:
    """By the name of the REST API, or in camelCase."""
    first, *rest = name.split("_")
    return coerce.first(row, name, first + "".join(each.title() for each in rest))


def _is_ours(value: dict[str, Json]) -> bool:
    told = sum(any(name in value for name in names) for names in _SIGNS)
    return told >= 2 and _get(value, "start_time") is not None


def _is_span(value: Json) -> bool:
    if not isinstance(value, dict) or value.get("type") not in _TYPES:
        return False
    return _get(value, "trace_id") is not None and _is_ours(value)


def _is_trace(value: Json) -> bool:
    if not isinstance(value, dict) or "type" in value or "id" not in value:
        return False
    return _get(value, "trace_id") is None and _is_ours(value)


def _key(row: Row) -> tuple[str, str] | None:
    own, trace = row.get("id"), _get(row, "trace_id")
    own = own if isinstance(own, str) else ""
    if trace is None:
        return own, f"trace:{own}"
    return trace if isinstance(trace, str) else "", own


def _parent(row: Row) -> Json:
    return _get(row, "parent_span_id")


def _role(row: Row) -> Role:
    if _get(row, "trace_id") is None:
        return "about"
    kind = row.get("type")
    return "call" if kind == "llm" else "plain" if kind == "general" else "other"


def _call(row: Row, around: list[Row]) -> Call:
    metadata = an_object(row.get("metadata"))
    known = [metadata, *(an_object(each.get("metadata")) for each in around)]
    texts = first_told(known, _METADATA)
    threads = (_get(each, "thread_id") for each in around)
    thread = next((each for each in threads if each not in (None, "")), None)
    texts["session_id"] = coerce.text("thread_id", thread) or texts["session_id"]
    texts.update(_prompt(known))
    started = coerce.moment("start_time", _get(row, "start_time"))
    ended = coerce.moment("end_time", _get(row, "end_time"))
    lasted_ms = coerce.number("duration", row.get("duration"))
    provider = named(coerce.text("provider", row.get("provider")))
    answer = read_output(row.get("output"))
    call = Call(
        **texts,
        request_id=coerce.text("id", row.get("id")),
        started_at=started,
        provider=provider,
        model=coerce.text("model", row.get("model")) or answer.model,
        operation="chat",
        messages=read_input(row.get("input")),
        params=_params(row, metadata),
        **_counts(row, provider),
        ttft_s=coerce.seconds("ttft", row.get("ttft"), 1e3),
        latency_s=(ended - started).total_seconds() if ended and started
        else None if lasted_ms is None else lasted_ms / 1e3,
        cost_usd=coerce.number("total_estimated_cost", _get(row, "total_estimated_cost") or None),
        tags=_tags(row, metadata),
    )  # fmt: skip
    error = an_object(_get(row, "error_info"))
    said = coerce.text("error", _get(error, "exception_type"))
    failed = said or (error and error_class(str(error.get("message") or "")))
    return finish(call, replace(answer, tokens=None), error=failed or None)


def _prompt(metadata: list[dict[str, Json]]) -> dict[str, Any]:
    """Of Opik's library: {"name", "version": {"commit", …}} of each prompt that was used."""
    for each in metadata:
        prompts = coerce.sequence(decode(each.get("opik_prompts")))
        if prompts and isinstance(prompts[0], dict):
            version = prompts[0].get("version")
            commit = coerce.first(version, "commit", "id") if isinstance(version, dict) else version
            return {"prompt_name": coerce.text("prompt", prompts[0].get("name")),
                    "prompt_version": coerce.text("prompt version", commit)}  # fmt: skip
    return {}


def _params(row: Row, metadata: dict[str, Json]) -> dict[str, Json] | None:
    asked = {**metadata, **coerce.mapping(decode(row.get("input")))}
    given = {name: item for name, item in asked.items() if name in ASKED and item is not None}
    return given or None


def _counts(row: Row, provider: str | None) -> dict[str, Any]:
    told = an_object(row.get("usage"))
    original: dict[str, Json] = {}
    for name, count in told.items():
        if name.startswith(_ORIGINAL):
            holder, _, of_it = name.removeprefix(_ORIGINAL).rpartition(".")
            inner = original.setdefault(holder, {}) if holder else original
            if isinstance(inner, dict):
                inner[of_it] = count
    counts = usage.tokens(original, cache_apart=provider in _CACHE_APART)
    if counts.get("input_tokens") is None and counts.get("output_tokens") is None:
        counts = usage.tokens(told)
    return counts


def _tags(row: Row, metadata: dict[str, Json]) -> dict[str, Json]:
    tags = {name: item for name, item in metadata.items()
            if name not in _NOT_TAGS and name not in ASKED}  # fmt: skip
    about = {
        "span_name": row.get("name"),
        "trace_id": _get(row, "trace_id"),
        "parent_span_id": _parent(row),
        "span_tags": decode(row.get("tags")),
        "error": decode(_get(row, "error_info")),
    }
    tags.update({name: item for name, item in about.items() if item not in (None, "", [], {})})
    return tags


def _signals(row: Row) -> Iterator[Signal]:
    about = "" if _role(row) == "about" else None
    for name, read in (("feedback_scores", _score), ("comments", _comment)):
        for item in coerce.sequence(decode(_get(row, name))):
            if isinstance(item, dict):
                yield item, read, about


def _score(item: Json) -> Feedback:
    return Feedback(
        kind=coerce.text("name", item.get("name")) or "evaluation",
        value=coerce.number("value", item.get("value")),
        comment=coerce.text("reason", coerce.first(item, "reason", "category_name")),
        given_at=coerce.moment("created_at", _get(item, "created_at")),
        by=coerce.text("created_by", _get(item, "created_by")),
    )


def _comment(item: Json) -> Feedback:
    return Feedback(
        kind="comment",
        comment=coerce.text("text", item.get("text")),
        given_at=coerce.moment("created_at", _get(item, "created_at")),
        by=coerce.text("created_by", _get(item, "created_by")),
    )


def _alone(row: Row) -> Iterator[Record]:
    raise UnreadableError("neither a span nor a trace of Opik")


_TRACES = Traces(NAME, VERSION, _rows, _key, _parent, _role, _call, _signals, _alone)
matches, records, reader = _TRACES.matches, _TRACES.records, _TRACES.reader
