"""Langfuse: exports of traces, pages and traces of the API, rows of the blob storage export, and
events on their way in.

A trace export holds every observation twice, once without its input and output: each counts once.
Generations are calls; of two around one API call the inner. Scores and corrections are feedback;
those of the whole trace speak of its last call. Events of one call that BeeAI's instrumentation
tells as observations of their own are that call. Names are camelCase in exports and the API,
snake_case in the blob storage export, where a row of CSV has objects as JSON text. Events are what
SDKs send to be ingested and what a server keeps in its bucket: several make one observation.
Source: Langfuse's public API and the field reference of its export.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.logs.formats import langfuse_call, span_pieces
from tasks.logs.formats.exchange import an_object, decode
from tasks.logs.formats.langfuse_call import TRACE, get
from tasks.logs.formats.traces import Role, Row, Signal, Traces
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json, Other, Record, UnreadableError

NAME = "langfuse"
VERSION = "langfuse@6"

_TYPES = (
    "GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING",
    "GUARDRAIL",
)  # fmt: skip
_PLAIN = ("SPAN", "CHAIN", "EVENT")
#: what an event to be ingested does with its body
_DONE = ("-create", "-update")
#: of pieces of one call these are the first one's
_OF_FIRST = frozenset({"id", "name", "startTime", "start_time", "parentObservationId",
                       "parent_observation_id", "traceId", "trace_id", "type", "input",
                       "metadata"})  # fmt: skip
#: of a score on a trace that came by itself: what tells it from others
_OWN = "_own"
#: of a trace without its observations: of the API, and of the blob storage export
_TRACE_SIGNS = (("htmlPath", "projectId"), ("bookmarked", "public", "session_id"),
                ("bookmarked", "public", "sessionId"))  # fmt: skip


def _rows(value: Json) -> list[Json]:
    """Of a trace its own record, and its observations, the fuller ones later."""
    if not isinstance(value, dict):
        return []
    if (event := _of_event(value)) is not None:
        return [event]
    if isinstance(value.get("batch"), list):
        return _sent(value["batch"])
    page = value.get("data")
    if isinstance(page, list) and "meta" in value:
        known = [_rows(item) for item in page]
        rows = [row for own, item in zip(known, page, strict=True) for row in own or [item]]
        return rows if any(known) else []
    if _is_observation(value) or _is_score(value):
        return [value]
    nested = value.get("trace")
    trace = coerce.mapping(nested if isinstance(nested, dict) else value)
    observations = [item for items in (coerce.first(nested, "observations"),
                                       value.get("observations"))
                    if isinstance(items, list) for item in items]  # fmt: skip
    first = next(filter(_is_observation, observations), None)
    if first is not None:
        own = trace.get("id") or get(first, "traceId")
        # the API may list ids instead
        return [{**trace, "id": own, "type": TRACE},
                *(item for item in observations if not isinstance(item, str))]  # fmt: skip
    return [{**trace, "type": TRACE}] if _is_bare_trace(trace) else []


def _sent(events: list[Json]) -> list[Json]:
    """Of a batch: an update names the observation alone, and adds to what was created."""
    rows: dict[object, dict[str, Json]] = {}
    for number, event in enumerate(events):
        row = _of_event(event)
        if row is not None:
            own = row.get("id")
            key = number if own is None or row.get("type") == TRACE else (str(own), row.get("type"))
            rows[key] = {**rows.get(key, {}), **row}
    return list(rows.values())


def _of_event(value: Json) -> Json:
    """{"id", "timestamp", "type": "generation-create", "body"}: what it tells of, or None."""
    if not isinstance(value, dict) or not {"id", "timestamp", "body"} <= value.keys():
        return None
    kind, body = value.get("type"), decode(value["body"])
    if not isinstance(kind, str) or not kind.endswith(_DONE) or not isinstance(body, dict):
        return None
    of = kind.rpartition("-")[0].upper()
    if of == TRACE:
        return {"timestamp": value["timestamp"], **body, "type": TRACE}
    if of == "SCORE":
        score = {"timestamp": value["timestamp"], "source": "API", **body}
        if body.get("observationId"):
            return score
        return {"id": body.get("traceId"), "type": TRACE, "scores": [score], _OWN: value["id"]}
    told = body.get("type") if of == "OBSERVATION" else of
    return {**body, "type": told} if told in _TYPES else None


def _is_observation(value: Json) -> bool:
    if not isinstance(value, dict) or value.get("type") not in _TYPES:
        return False
    return get(value, "traceId") is not None and get(value, "startTime") is not None


def _is_bare_trace(value: dict[str, Json]) -> bool:
    return "timestamp" in value and any(
        all(sign in value for sign in signs) for signs in _TRACE_SIGNS
    )


def _is_score(value: Json) -> bool:
    """A line of the export of scores."""
    if not isinstance(value, dict) or get(value, "traceId") is None or "name" not in value:
        return False
    return "source" in value and ("value" in value or get(value, "stringValue") is not None)


def _key(row: Row) -> tuple[str, str] | None:
    if row.get("type") == TRACE:
        own = row.get("id")
        trace = own if isinstance(own, str) else ""
        return trace, f"trace:{trace}{row.get(_OWN, '')}"
    if row.get("type") not in _TYPES:
        return None
    trace, own = get(row, "traceId"), row.get("id")
    return trace if isinstance(trace, str) else "", own if isinstance(own, str) else ""


def _parent(row: Row) -> Json:
    return get(row, "parentObservationId")


def _role(row: Row) -> Role:
    kind = row.get("type")
    if kind == TRACE:
        return "about"
    return "call" if kind == "GENERATION" else "plain" if kind in _PLAIN else "other"


def _signals(row: Row) -> Iterator[Signal]:
    """Of a trace; observations have none of their own."""
    if row.get("type") != TRACE:
        return
    for name, read in (("scores", langfuse_call.score), ("corrections", langfuse_call.correction)):
        for item in coerce.sequence(decode(row.get(name))):
            if isinstance(item, dict):
                about = get(item, "observationId")
                yield item, read, about if isinstance(about, str) else ""


def _alone(row: Row) -> Iterator[Record]:
    """A score. Of a trace alone it speaks of no call that could be found."""
    if not _is_score(row):
        raise UnreadableError("neither an observation nor a score")
    about = get(row, "observationId")
    if about in (None, ""):
        yield Other()
        return
    yield replace(langfuse_call.score(row), request_id=f"{get(row, 'traceId')}:{about}")


def _piece(row: Row) -> tuple[str, str] | None:
    metadata = an_object(row.get("metadata"))
    told = {**metadata, **an_object(metadata.get("attributes"))}
    path = coerce.first(told, "target", "metadata.path", "path")
    return span_pieces.piece(path, coerce.first(told, "name") or row.get("name"))


def _pieces(rows: dict[str, Row]) -> tuple[dict[str, Row], set[str]]:
    return span_pieces.together(
        rows,
        _piece,
        _parent,
        lambda row: _role(row) == "call",
        lambda row: get(row, "startTime"),
        _OF_FIRST,
    )


_TRACES = Traces(
    NAME, VERSION, _rows, _key, _parent, _role, langfuse_call.from_observation, _signals, _alone,
    _pieces,
)  # fmt: skip
matches, records, reader = _TRACES.matches, _TRACES.records, _TRACES.reader
