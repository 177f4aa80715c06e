"""Langfuse exports: {"trace", "observations"} of the web page, traces and observations of the API.

The web page's export holds every observation twice. A generation around another one repeats it
(an instrumented framework over an instrumented client): only the innermost is a call. A score of
an observation is feedback on it; a score of the trace is, where the trace has one call.
Source: the Langfuse API reference, trace and observation objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.ingest import coerce
from tasks.ingest.formats import bodies, loose
from tasks.ingest.json_text import dump_bytes
from tasks.ingest.records import Call, Dead, Feedback, Json, Other, Record, UnreadableError

NAME = "langfuse"
VERSION = "langfuse@1"

_CALLS = frozenset({"GENERATION", "EMBEDDING"})
_PARAMS_LEFT_OUT = frozenset({"model", "metadata", "instructions", "id", "created_at"})


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("trace"), dict) and isinstance(value.get("observations"), list):
        return True
    if isinstance(value.get("observations"), list) and "projectId" in value:
        return True
    return _is_observation(value)


def _is_observation(value: Json) -> bool:
    return isinstance(value, dict) and {"traceId", "type", "startTime"} <= value.keys()


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, received {coerce.kind_of(value)}")
    if _is_observation(value):
        yield from _read([value], {}, [])
        return
    inner = value.get("trace")
    trace: dict[str, Json] = inner if isinstance(inner, dict) else value
    found: dict[str | int, dict[str, Json]] = {}
    lost: list[Record] = []
    for item in (*_list(value, "observations"), *_list(trace, "observations")):
        if isinstance(item, dict):
            # the first is the fuller of the two
            found.setdefault(_text(item, "id") or id(item), item)
        elif not isinstance(item, str):  # an id alone stands for an observation elsewhere
            lost.append(Dead("an observation that is no object", dump_bytes(item)))
    if not found and not lost and "id" not in trace:
        raise UnreadableError("neither a trace nor an observation")
    yield from lost
    yield from _read(list(found.values()), trace, _list(trace, "scores"))


def _list(value: dict[str, Json], name: str) -> list[Json]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _read(
    observations: list[dict[str, Json]], trace: dict[str, Json], scores: list[Json]
) -> Iterator[Record]:
    calls = _innermost(observations)
    ids = [name for each in calls if (name := _call_id(each.get("traceId"), each.get("id")))]
    chosen = {id(call) for call in calls}
    for observation in observations:
        if id(observation) not in chosen:
            yield Other()
            continue
        try:
            call = _call(observation, trace)
        except UnreadableError as error:
            yield Dead(str(error), dump_bytes(observation))
            continue
        yield call
    for score in scores:
        yield _feedback(score, ids)


def _innermost(observations: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """Generations that no other generation happened in."""
    parents = {_text(each, "id"): _text(each, "parentObservationId") for each in observations}
    generations = [each for each in observations if str(each.get("type")).upper() in _CALLS]
    around: set[str] = set()
    for each in generations:
        parent = _text(each, "parentObservationId")
        while parent is not None and parent not in around:
            around.add(parent)
            parent = parents.get(parent)
    return [each for each in generations if _text(each, "id") not in around]


def _text(item: dict[str, Json], name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) else None


def _call(item: dict[str, Json], trace: dict[str, Json]) -> Call:
    answer = loose.read_answer(item.get("output"))
    usage = _object(item.get("usageDetails")) or _object(item.get("usage"))
    cost = _object(item.get("costDetails"))
    params = _object(item.get("modelParameters"))
    failed = item.get("level") == "ERROR"
    started = coerce.moment("startTime", item.get("startTime"))
    ended = coerce.moment("endTime", item.get("endTime"))
    taken = (ended - started).total_seconds() if started and ended else None
    message = answer.message
    return Call(
        request_id=_call_id(item.get("traceId"), item.get("id")),
        started_at=started,
        model=coerce.text("model", item.get("model")),
        release=coerce.text("release", trace.get("release")),
        prompt_name=coerce.text("promptName", item.get("promptName")),
        prompt_version=coerce.text("promptVersion", item.get("promptVersion")),
        session_id=coerce.text("sessionId", trace.get("sessionId", item.get("sessionId"))),
        user=coerce.text("userId", trace.get("userId", item.get("userId"))),
        operation="embeddings" if item.get("type") == "EMBEDDING" else "chat",
        messages=loose.read_messages(item.get("input")),
        response=message,
        tool_calls=message.get("tool_calls") if message else None,
        finish_reason=answer.finish_reason,
        params={k: v for k, v in params.items() if k not in _PARAMS_LEFT_OUT} or None,
        **_tokens(usage, item),
        ttft_s=coerce.number("timeToFirstToken", item.get("timeToFirstToken")),
        latency_s=coerce.number("latency", item.get("latency")) if taken is None else taken,
        cost_usd=coerce.number("cost", cost.get("total", item.get("calculatedTotalCost"))),
        status="error" if failed else "ok",
        error_type="error" if failed else None,
        tags=_tags(item, trace, answer.tags),
    )


def _call_id(trace: Json, own: Json) -> str | None:
    """As of an OpenTelemetry span, which an observation may also have been sent as."""
    if not isinstance(own, str) or not own:
        return None
    return f"{trace}:{own}" if isinstance(trace, str) and trace else own


def _object(value: Json) -> dict[str, Json]:
    found = bodies.decode(value)
    return found if isinstance(found, dict) else {}


def _tokens(usage: dict[str, Json], item: dict[str, Json]) -> dict[str, Any]:
    names = {
        "input_tokens": ("input", "inputUsage", "promptTokens"),
        "output_tokens": ("output", "outputUsage", "completionTokens"),
        "total_tokens": ("total", "totalUsage", "totalTokens"),
        "cached_tokens": ("prompt_details.cache_read", "input_cached_tokens"),
        "reasoning_tokens": ("completion_details.reasoning", "output_reasoning_tokens"),
    }
    places = (usage, item)
    return {
        ours: coerce.integer(
            ours, next((p[n] for p in places for n in theirs if p.get(n) is not None), None)
        )
        for ours, theirs in names.items()
    }


def _tags(
    item: dict[str, Json], trace: dict[str, Json], more: dict[str, Json]
) -> dict[str, Json]:  # fmt: skip
    tags = {
        "trace_id": item.get("traceId"),
        "parent_span_id": item.get("parentObservationId"),
        "span_name": item.get("name"),
        "environment": item.get("environment"),
        "tags": trace.get("tags"),
        "status_message": item.get("statusMessage"),
    }
    return {**{name: value for name, value in tags.items() if value}, **more}


def _feedback(score: Json, call_ids: list[str]) -> Record:
    if not isinstance(score, dict):
        return Dead("a score that is no object", dump_bytes(score))
    subject = call_ids[0] if len(call_ids) == 1 else None
    if score.get("observationId"):
        subject = _call_id(score.get("traceId"), score["observationId"])
    if subject is None:
        return Other()  # of a whole trace of several calls
    try:
        return Feedback(
            kind=coerce.text("name", score.get("name")) or "score",
            request_id=subject,
            value=coerce.number("value", score.get("value")),
            comment=coerce.text("comment", score.get("comment")),
            given_at=coerce.moment("timestamp", score.get("timestamp")),
            by=coerce.text("authorUserId", score.get("authorUserId")),
        )
    except UnreadableError as error:
        return Dead(f"score: {error}", dump_bytes(score))
