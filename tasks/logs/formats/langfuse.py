"""Langfuse: trace exports, traces of the API with their observations, observations one a line.

A trace export holds every observation twice, once without its input and output: each counts once.
Generations are calls; of two around one API call the inner. Scores and corrections are feedback;
those of the whole trace speak of its last call. Names are camelCase in exports and the API,
snake_case in the blob storage export. Source: Langfuse's public API and export formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.logs.formats import langfuse_call, spans
from tasks.logs.formats.langfuse_call import get
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import dead, or_dead
from tasks.logs.shapes.records import Call, Dead, Feedback, Json, Other, Record, UnreadableError

NAME = "langfuse"
VERSION = "langfuse@3"

_TYPES = (
    "GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING",
    "GUARDRAIL",
)  # fmt: skip


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    observations = _observations(value)
    if observations:
        return _is_observation(observations[0])
    return _is_observation(value) or _is_score(value)


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    trace = coerce.mapping(value.get("trace", value))
    observations = _observations(value)
    if not observations and _is_score(value):
        yield from _score_alone(value)
        return
    if not observations:
        if not _is_observation(value):
            raise UnreadableError("neither a trace with observations nor an observation")
        observations, trace = [value], {}
    observed: dict[str, dict[str, Json]] = {}
    for number, item in enumerate(observations):
        if not isinstance(item, dict):
            what = coerce.kind_of(item)
            yield dead(item, f"an observation: expected an object, received {what}")
            continue
        own = item.get("id")
        known = observed.setdefault(own if isinstance(own, str) else f"#{number}", {})
        nothing: tuple[Json, ...] = (None, "{}", {}, [])
        known.update((key, given) for key, given in item.items() if given not in nothing)
    yield from _calls(list(observed.values()), trace)


def _observations(value: dict[str, Json]) -> list[Json]:
    """Without and with input and output, so that the fuller one comes later."""
    nested = coerce.first(value.get("trace"), "observations")
    return [item for items in (nested, value.get("observations"))
            if isinstance(items, list) for item in items]  # fmt: skip


def _is_observation(value: Json) -> bool:
    if not isinstance(value, dict) or value.get("type") not in _TYPES:
        return False
    return get(value, "traceId") is not None and get(value, "startTime") is not None


def _is_score(value: Json) -> bool:
    """A line of the export of scores."""
    if not isinstance(value, dict) or get(value, "traceId") is None or "name" not in value:
        return False
    return "source" in value and ("value" in value or get(value, "stringValue") is not None)


def _score_alone(value: dict[str, Json]) -> Iterator[Record]:
    """Of a trace alone it speaks of no call that could be found."""
    about = get(value, "observationId")
    if about is None:
        yield Other()
        return
    signal = langfuse_call.score(value, False)
    yield replace(signal, request_id=f"{get(value, 'traceId')}:{about}")


def _calls(observed: list[dict[str, Json]], trace: dict[str, Json]) -> Iterator[Record]:
    by_id = {str(item.get("id")): item for item in observed}
    outer = spans.wrapping(
        (item.get("id"), _around(item, by_id).get("id"))
        for item in observed
        if item.get("type") == "GENERATION" and isinstance(item.get("id"), str)
    )
    calls: dict[str, Call] = {}
    for item in observed:
        own = str(item.get("id"))
        if item.get("type") != "GENERATION" or own in outer:
            yield Other()
            continue
        around = _around(item, by_id)
        try:
            calls[own] = langfuse_call.from_observation(item, trace)
            if around.get("type") == "GENERATION":
                outside = langfuse_call.from_observation(around, trace)
                calls[own] = langfuse_call.completed(calls[own], outside)
        except UnreadableError as error:
            yield dead(item, error)
    yield from _with_feedback(calls, trace)


def _around(item: dict[str, Json], by_id: dict[str, dict[str, Json]]) -> dict[str, Json]:
    """The nearest observation around it that is more than a plain span; empty: there is none."""
    for _ in range(len(by_id)):
        item = by_id.get(str(get(item, "parentObservationId")), {})
        if item.get("type") not in ("SPAN", "CHAIN", "EVENT"):
            break
    return item


def _with_feedback(calls: dict[str, Call], trace: dict[str, Json]) -> Iterator[Record]:
    given: dict[str, list[Feedback]] = {}
    last = max(calls, key=lambda own: str(calls[own].started_at), default=None)
    for name in ("scores", "corrections"):
        for item in coerce.sequence(trace.get(name)):
            if not isinstance(item, dict) or last is None:
                continue
            signal = or_dead(item, langfuse_call.score, item, name == "corrections")
            if isinstance(signal, Dead):
                yield signal
                continue
            about = get(item, "observationId")
            known = isinstance(about, str) and about in calls
            given.setdefault(about if known else last, []).append(signal)
    for own, call in calls.items():
        yield replace(call, feedback=tuple(given.get(own, ())))
