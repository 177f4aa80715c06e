"""PostHog: the events of its LLM analytics, as captured, batched, exported, queried or told by API.

`$ai_generation` and `$ai_embedding` are calls, of two around one API call the inner. Other events
of a project are counted. SDKs capture a call when it ends, OpenTelemetry's spans carry its start.
An event without a real user names its trace as the user. `$ai_metric`, `$ai_feedback` and answers
to surveys speak of the last call of their trace, `$ai_evaluation` of the event it names. A query
and a table may have a column a property. Source: PostHog's manual capture and capture API, its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tasks.logs.formats.exchange import an_object, decode, host_of
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.formats.posthog_rows import PROPERTIES, rows_of
from tasks.logs.formats.traces import Role, Row, Signal, Traces, error_class, first_told
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import NOT_RECORDED, Answer, finish
from tasks.logs.shapes.providers import named, provider_of
from tasks.logs.shapes.records import Call, Feedback, Json, Other, Record, UnreadableError

NAME = "posthog"
VERSION = "posthog@2"

_CALLS = ("$ai_generation", "$ai_embedding")
_ON_TRACE = ("$ai_metric", "$ai_feedback", "survey sent")
_TEXTS = {
    "session_id": ("$ai_session_id", "$ai_group_id"),
    "release": ("release", "$app_version"),
    "prompt_name": ("$ai_prompt_name",),
    "prompt_version": ("$ai_prompt_version",),
}
_COUNTS = {
    "input": "$ai_input_tokens", "output": "$ai_output_tokens", "total": "$ai_total_tokens",
    "cached": "$ai_cache_read_input_tokens", "cache_written": "$ai_cache_creation_input_tokens",
    "reasoning": "$ai_reasoning_tokens",
}  # fmt: skip
_PARAMS = {"$ai_temperature": "temperature", "$ai_max_tokens": "max_tokens",
           "$ai_stream": "stream", "$ai_tools": "tools"}  # fmt: skip
_TAGS = {
    "$ai_span_name": "span_name", "$ai_trace_id": "trace_id", "$ai_parent_id": "parent_span_id",
    "$ai_framework": "framework", "$ai_response_id": "response_id", "$ai_error": "error",
}  # fmt: skip
#: of PostHog's own properties none is a tag, but for these
_NOT_TAGS = frozenset(
    {"distinct_id", "token", *(name for each in _TEXTS.values() for name in each)}
)
_VERDICTS = ("result", "numeric_result", "categorical_result")
_YES = (True, 1, "true", "True", "1")


def matches(value: Json) -> bool:
    """An event that tells of a model; those beside it may be of anything."""
    return any(
        isinstance(row, dict) and str(row.get("event")).startswith("$ai_") for row in rows_of(value)
    )


def hosts(value: Json) -> bool:
    """Any event of a project, wherever those of its models are."""
    return bool(rows_of(value))


def _about(row: Row) -> dict[str, Json]:
    return an_object(row.get(PROPERTIES))


def _key(row: Row) -> tuple[str, str] | None:
    """An evaluation names its event itself."""
    event, about = row["event"], _about(row)
    if event == "$ai_evaluation" or not (event.startswith("$ai_") or event in _ON_TRACE):
        return None
    trace = coerce.text("$ai_trace_id", about.get("$ai_trace_id")) or ""
    if event in _ON_TRACE:
        return trace, ""
    own = coerce.first(about, "$ai_span_id", "$ai_generation_id")
    if own is None:
        own = trace if event == "$ai_trace" else _own_id(row)
    return trace, coerce.text("$ai_span_id", own) or ""


def _own_id(row: Row) -> Json:
    return coerce.first(row, "uuid", "id")


def _at(row: Row) -> Json:
    return coerce.first(row, "timestamp", "createdAt")


def _parent(row: Row) -> Json:
    return _about(row).get("$ai_parent_id")


def _role(row: Row) -> Role:
    event = row["event"]
    if event in _CALLS:
        return "call"
    if event in _ON_TRACE:
        return "about"
    return "other" if _about(row).get("$ai_span_type") == "tool" else "plain"


def _call(row: Row, around: list[Row]) -> Call:
    about = _about(row)
    embedded = row["event"] == "$ai_embedding"
    latency = coerce.number("$ai_latency", about.get("$ai_latency"))
    ended = coerce.moment("timestamp", _at(row))
    by_span = about.get("$ai_ingestion_source") == "otel"
    started = ended - timedelta(seconds=latency or 0) if ended and not by_span else ended
    trace, own = about.get("$ai_trace_id"), coerce.first(about, "$ai_span_id", "$ai_generation_id")
    told = _own_id(row) or (f"{trace}:{own}" if trace and own else None)
    model = coerce.text("$ai_model", about.get("$ai_model"))
    provider = _provider(about, model)
    call = Call(
        **first_told([about, *map(_about, around)], _TEXTS),
        request_id=coerce.text("uuid", told),
        started_at=started,
        provider=provider,
        model=model,
        user=_user(row, about),
        operation="embeddings" if embedded else "chat",
        messages=read_input(about.get("$ai_input")),
        params=_params(about),
        **_counts(about, provider, model),
        finish_reason=coerce.text("$ai_stop_reason", about.get("$ai_stop_reason")),
        http_status=coerce.small_integer("$ai_http_status", about.get("$ai_http_status") or None),
        latency_s=latency,
        ttft_s=coerce.number("$ai_time_to_first_token", about.get("$ai_time_to_first_token")),
        cost_usd=_cost(about),
        tags=_tags(about),
    )  # fmt: skip
    answer = Answer(complete=True) if embedded else _answer(about)
    return finish(call, answer, error=_error(about))


def _provider(about: dict[str, Json], model: str | None) -> str | None:
    """Whoever speaks OpenAI's API is told by the address."""
    provider = named(coerce.text("$ai_provider", about.get("$ai_provider")))
    if provider != "openai":
        return provider
    return provider_of(host_of(coerce.first(about, "$ai_base_url", "$ai_request_url")), provider,
                       model)  # fmt: skip


def _user(row: Row, about: dict[str, Json]) -> str | None:
    given = coerce.first(row, "distinct_id", "distinctId")
    user = coerce.text("distinct_id", about.get("distinct_id") if given is None else given)
    return None if user == about.get("$ai_trace_id") else user


def _counts(about: dict[str, Json], provider: str | None, model: str | None) -> dict[str, Any]:
    """Nothing asked and nothing said stand for counts that the SDK did not get.

    PostHog tells whether the cache is counted beside; where it does not, it is with Anthropic's
    models, as its own reckoning of costs has it, and so are the thoughts of Gemini.
    """
    counts = {name: usage.known(of, about.get(of)) for name, of in _COUNTS.items()}
    if not any(counts.values()):
        return {}
    apart = about.get("$ai_cache_reporting_exclusive")
    by_anthropic = provider == "anthropic" or (model or "").lower().startswith("claude")
    reported = usage.Reported(
        **counts,
        cache_apart=by_anthropic if apart in (None, "") else apart in _YES,
        reasoning_apart=provider in ("gcp.gemini", "gcp.vertex_ai"),
    )
    return reported.canonical()


def _cost(about: dict[str, Json]) -> float | None:
    told = {name: coerce.number(name, about.get(f"$ai_{name}_cost_usd"))
            for name in ("total", "input", "output", "request", "web_search")}  # fmt: skip
    total = told.pop("total")
    parts = [cost for cost in told.values() if cost is not None]
    return total if total is not None else sum(parts) if parts else None


def _params(about: dict[str, Json]) -> dict[str, Json] | None:
    given = an_object(about.get("$ai_model_parameters"))
    given = {**given, **{ours: decode(about[name]) for name, ours in _PARAMS.items()
                         if about.get(name) not in (None, "")}}  # fmt: skip
    return {name: item for name, item in given.items() if item is not None} or None


def _answer(about: dict[str, Json]) -> Answer:
    """A list of assistant's messages is one of choices; without contents nothing is recorded."""
    said = decode(coerce.first(about, "$ai_output_choices", "$ai_output"))
    if said in (None, "", [], {}):
        return NOT_RECORDED
    if isinstance(said, list) and len(said) > 1 and all(map(_is_choice, said)):
        others = [read_output(each).message for each in said[1:]]
        return replace(read_output(said[0]), other_choices=[each for each in others if each])
    return replace(read_output(said), tokens=None)


def _is_choice(item: Json) -> bool:
    """The Responses API has items of an answer, with a type each."""
    if isinstance(item, dict):
        return item.get("role") == "assistant" and "type" not in item
    return isinstance(item, str)


def _error(about: dict[str, Json]) -> Json:
    if about.get("$ai_is_error") not in _YES:
        return None
    said = decode(about.get("$ai_error")) or "error"
    return about.get("$ai_error_type") or (error_class(said) if isinstance(said, str) else said)


def _tags(about: dict[str, Json]) -> dict[str, Json]:
    tags = {name: decode(item) for name, item in about.items()
            if not name.startswith("$") and name not in _NOT_TAGS}  # fmt: skip
    tags.update((ours, decode(about.get(name))) for name, ours in _TAGS.items())
    return {name: item for name, item in tags.items() if item not in (None, "", [], {})}


def _signals(row: Row) -> Iterator[Signal]:
    """Those on a trace stand in rows of their own."""
    about, event = _about(row), row["event"]
    if event not in _ON_TRACE:
        return
    kind: Json = "comment"
    said = about.get("$ai_feedback_text")
    if event == "$ai_metric":
        kind, said = about.get("$ai_metric_name"), about.get("$ai_metric_value")
    elif event == "survey sent":
        answers = (item for name, item in about.items() if name.startswith("$survey_response"))
        kind, said = "survey", next(answers, None)
    if said not in (None, "", []):
        yield {"kind": kind, "said": said, "at": _at(row)}, _feedback, ""


def _feedback(item: Json) -> Feedback:
    """A number, or yes and no, is a value, however it is written; anything else a comment."""
    said = item["said"]
    if isinstance(said, bool) or said in ("true", "false"):
        said = float(said in _YES)
    try:
        value = coerce.number("value", said)
    except UnreadableError:
        value = None
    return Feedback(
        kind=coerce.text("kind", item["kind"]) or "metric",
        value=value,
        comment=None if value is not None else coerce.text("comment", said),
        given_at=coerce.moment("timestamp", item["at"]),
    )


def _alone(row: Row) -> Iterator[Record]:
    """An evaluation, or an event of another kind. One that does not apply gave no verdict."""
    if row["event"] != "$ai_evaluation":
        yield Other()
        return
    about = _about(row)
    said = coerce.first(about, *(f"$ai_evaluation_{each}" for each in _VERDICTS))
    target = coerce.text("$ai_target_event_id", about.get("$ai_target_event_id"))
    if said in (None, "", []) or target is None:
        yield Other()
        return
    if isinstance(said, list):
        said = ", ".join(map(str, said))
    told = _feedback({"kind": about.get("$ai_evaluation_name"), "said": said, "at": _at(row)})
    why = coerce.text("$ai_evaluation_reasoning", about.get("$ai_evaluation_reasoning"))
    yield replace(told, request_id=target, comment=why or told.comment)


_TRACES = Traces(NAME, VERSION, rows_of, _key, _parent, _role, _call, _signals, _alone)
records, reader = _TRACES.records, _TRACES.reader
