"""LangSmith: runs of the API and of `list_runs`, the SDK's batches, rows of the bulk export.

A batch is {"post": […], "patch": […]}: a patch completes the run that was posted, perhaps in an
earlier batch. Runs of type llm are calls. `session_id` of a run is its project, not a session:
that is in the metadata, as `session_id`, `thread_id` or `conversation_id`. Feedback on a run that
is no call speaks of the last call of its trace. Source: LangSmith's run data format, the schemas of
its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats import langsmith_call
from tasks.logs.formats.exchange import an_object, decode
from tasks.logs.formats.traces import Role, Row, Signal, Traces
from tasks.logs.shapes import coerce
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.records import Feedback, Json, Record, UnreadableError

NAME = "langsmith"
VERSION = "langsmith@3"

_TYPES = ("llm", "chain", "tool", "retriever", "embedding", "prompt", "parser")
_PLAIN = ("chain", "prompt", "parser")
_SIGNS = ("trace_id", "dotted_order", "session_id", "inputs", "serialized", "child_runs")
#: where a page of the API has its runs
_PAGES = ("runs", "data", "items")


def _rows(value: Json) -> list[Json]:
    if not isinstance(value, dict):
        return []
    if _is_run(value) or _is_patch(value) or _is_feedback(value):
        return _tree(value)
    batch = [*coerce.sequence(value.get("post")), *coerce.sequence(value.get("patch"))]
    if _is_batch(value, batch):
        return [row for item in batch for row in _tree(item)]
    for name in _PAGES:
        page = coerce.sequence(value.get(name))
        if any(_is_run(item) or _is_feedback(item) for item in page):
            return [row for item in page for row in _tree(item)]
    return []


def _is_run(value: Json) -> bool:
    if not isinstance(value, dict) or value.get("run_type") not in _TYPES:
        return False
    # a query may leave the times out: the place in the trace tells when it began
    dated = "start_time" in value or isinstance(value.get("dotted_order"), str)
    return dated and any(sign in value for sign in _SIGNS)


def _is_patch(value: Json) -> bool:
    """As operations are handed over one by one: it names its trace and its place in it."""
    if not isinstance(value, dict) or "run_type" in value:
        return False
    ended = any(name in value for name in ("outputs", "end_time", "error"))
    return ended and "trace_id" in value and isinstance(value.get("dotted_order"), str)


def _is_batch(value: dict[str, Json], items: list[Json]) -> bool:
    """Of patches alone each names its trace and its place in it."""
    if not value.keys() & {"post", "patch"} or not items:
        return False
    return any(
        _is_run(item) or (isinstance(item, dict) and "trace_id" in item and "dotted_order" in item)
        for item in items
    )


def _is_feedback(value: Json) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("key"), str):
        return False
    return "run_id" in value and "score" in value and "comment" in value


def _tree(item: Json) -> list[Json]:
    """A run, and those that are nested in it."""
    found, pending = [], [item]
    while pending:
        run = pending.pop()
        found.append(run)
        if isinstance(run, dict):
            children = coerce.sequence(decode(run.get("child_runs")))
            pending.extend(child for child in reversed(children) if isinstance(child, dict))
    return found


def _key(row: Row) -> tuple[str, str] | None:
    """A patch may name its run by its place in the trace alone."""
    if _is_feedback(row):
        return None
    own, trace = row.get("id"), row.get("trace_id")
    if own is None and isinstance(row.get("dotted_order"), str):
        own = row["dotted_order"].rpartition(".")[2].partition("Z")[2]
    if not isinstance(trace, str) and isinstance(row.get("dotted_order"), str):
        trace = row["dotted_order"].partition(".")[0].partition("Z")[2]
    own = own if isinstance(own, str) else ""
    return trace if isinstance(trace, str) else own, own


def _parent(row: Row) -> Json:
    parent = row.get("parent_run_id")
    if parent is None and isinstance(row.get("dotted_order"), str):
        before = row["dotted_order"].rpartition(".")[0]
        parent = before.rpartition(".")[2].partition("Z")[2]
    return parent


def _role(row: Row) -> Role:
    """A patch whose run was not posted here tells no type: reading it says so."""
    kind = row.get("run_type", "llm")
    return "call" if kind == "llm" else "plain" if kind in _PLAIN else "other"


def _signals(row: Row) -> Iterator[Signal]:
    stats = an_object(row.get("feedback_stats"))
    for name, about in stats.items():
        if isinstance(about, dict) and about.get("n") != 0:
            yield {"key": name, **about}, _of_stats, None


def _of_stats(item: Json) -> Feedback:
    """What was given several times is one signal with its average."""
    said = item.get("values")
    words = list(said) if isinstance(said, dict) else []
    notes = [note for note in coerce.sequence(item.get("comments")) if isinstance(note, str)]
    return Feedback(
        kind=coerce.text("key", item.get("key")) or "evaluation",
        value=coerce.number("avg", item.get("avg")),
        comment="\n".join(notes) or (words[0] if len(words) == 1 else None),
    )


def _alone(row: Row) -> Iterator[Record]:
    """Feedback as `list_feedback` has it, on the run it names."""
    about = coerce.text("run_id", row.get("run_id"))
    if about is None:
        raise UnreadableError("feedback without run_id: it speaks of no call")
    source = an_object(row.get("feedback_source"))
    score = row.get("score")
    value, correction = row.get("value"), decode(row.get("correction"))
    words = value if isinstance(value, str) else None
    said: Any = correction
    if isinstance(correction, dict) and len(correction) == 1:
        said = next(iter(correction.values()))
    corrected = None if said is None else said if isinstance(said, str) else dump(said)
    yield Feedback(
        kind=coerce.text("key", row.get("key")) or "evaluation",
        request_id=about,
        value=float(score) if isinstance(score, bool) else coerce.number("score", score),
        comment=coerce.text("comment", row.get("comment")) or words,
        corrected=corrected,
        given_at=coerce.moment("created_at", row.get("created_at")),
        by=coerce.text("user_id", source.get("user_id")),
    )


_TRACES = Traces(
    NAME, VERSION, _rows, _key, _parent, _role, langsmith_call.from_run, _signals, _alone
)
matches, records, reader = _TRACES.matches, _TRACES.records, _TRACES.reader
