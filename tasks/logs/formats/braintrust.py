"""Braintrust: rows of logs and experiments, of the API, BTQL, the export to storage or a table.

Spans of type llm are calls. Users, sessions and scores stand mostly on the root of the trace: what
a span does not say its root says, and scores there speak of the last call. Counts are in `metrics`,
with the cache as part of the prompt, times in seconds. Source: Braintrust's API reference and SDKs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.logs.formats.exchange import an_object, decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.formats.traces import ASKED, Role, Row, Signal, Traces, error_class, first_told
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer, finish
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Feedback, Json, Record, UnreadableError

NAME = "braintrust"
VERSION = "braintrust@2"

_TYPES = ("llm", "score", "function", "eval", "task", "tool", "automation", "facet",
          "preprocessor", "classifier", "review")  # fmt: skip
_PLAIN = ("function", "task", "eval")
_SIGNS = ("root_span_id", "span_id", "_xact_id", "span_parents", "is_root")
_METADATA = {
    "session_id": ("session_id", "thread_id", "conversation_id"),
    "user": ("user_id", "user"),
    "release": ("release", "revision", "service_version"),
    "prompt_name": ("prompt_name", "prompt_slug"),
    "prompt_version": ("prompt_version",),
}
_COUNTS = {
    "input": "prompt_tokens", "output": "completion_tokens", "total": "tokens",
    "cached": "prompt_cached_tokens", "cache_written": "prompt_cache_creation_tokens",
    "reasoning": "completion_reasoning_tokens",
}  # fmt: skip
_NOT_PARAMS = frozenset({
    *(name for names in _METADATA.values() for name in names), "model", "provider", "prompt",
    "error", "usage",
})  # fmt: skip


def _rows(value: Json) -> list[Json]:
    if _is_row(value):
        return [value]
    for name in ("events", "data", "rows"):
        page = coerce.sequence(coerce.first(value, name))
        if any(_is_row(item) for item in page):
            return page
    return []


def _is_row(value: Json) -> bool:
    if not isinstance(value, dict) or "span_attributes" not in value or "span_name" in value:
        return False  # AgentOps has the name of a span beside its attributes
    told = decode(value["span_attributes"])
    kind = coerce.first(told, "type")
    return (kind is None or kind in _TYPES) and any(sign in value for sign in _SIGNS)


def _key(row: Row) -> tuple[str, str] | None:
    """Spans are around each other by span_id; the id of the row is what feedback names."""
    if "span_attributes" not in row:
        return None
    own = coerce.first(row, "span_id", "id")
    trace = coerce.first(row, "root_span_id", "span_id", "id")
    return trace if isinstance(trace, str) else "", own if isinstance(own, str) else ""


def _parent(row: Row) -> Json:
    parents = decode(row.get("span_parents"))
    return parents[0] if isinstance(parents, list) and parents else parents


def _role(row: Row) -> Role:
    kind = coerce.first(decode(row.get("span_attributes")), "type")
    return "call" if kind == "llm" else "plain" if kind in (*_PLAIN, None) else "other"


def _call(row: Row, around: list[Row]) -> Call:
    about = an_object(row.get("span_attributes"))
    metadata = an_object(row.get("metadata"))
    metrics = an_object(row.get("metrics"))
    known = [metadata, *(an_object(each.get("metadata")) for each in around)]
    texts = first_told(known, _METADATA)
    prompt = coerce.mapping(metadata.get("prompt"))
    texts["prompt_name"] = texts["prompt_name"] or coerce.text(
        "prompt", coerce.first(prompt, "name", "slug", "id")
    )
    texts["prompt_version"] = texts["prompt_version"] or coerce.text(
        "prompt version", prompt.get("version")
    )
    error = decode(row.get("error")) or metadata.get("error")
    started = coerce.number("metrics.start", metrics.get("start"))
    ended = coerce.number("metrics.end", metrics.get("end"))
    embedded = _is_embedding(row, about)
    answer = Answer(complete=True) if embedded else read_output(row.get("output"))
    params = {key: item for key, item in metadata.items() if key in ASKED and item is not None}
    call = Call(
        **texts,
        request_id=coerce.text("id", coerce.first(row, "id", "span_id")),
        started_at=coerce.moment(
            "created", row.get("created") if started is None else started
        ),
        provider=named(coerce.text("provider", metadata.get("provider"))),
        model=answer.model or coerce.text("model", metadata.get("model")),
        operation="embeddings" if embedded else "chat",
        messages=read_input(row.get("input")),
        params=params or None,
        **usage.counted(metrics, _COUNTS),
        ttft_s=coerce.number("time_to_first_token", metrics.get("time_to_first_token")),
        latency_s=round(ended - started, 6) if ended is not None and started is not None
        else coerce.number("duration", metrics.get("duration")),
        cost_usd=coerce.number("cost", coerce.first(metrics, "estimated_cost", "cost")),
        tags=_tags(row, about, metadata, error),
    )  # fmt: skip
    failed = error_class(error) if isinstance(error, str) else error
    return finish(call, replace(answer, tokens=None), error=failed or None)


def _is_embedding(row: Row, about: dict[str, Json]) -> bool:
    """The wrappers around clients keep how long the vector is, not the vector."""
    said = an_object(row.get("output"))
    return "embedding_length" in said or (about.get("name") == "Embedding" and bool(said))


def _tags(
    row: Row, about: dict[str, Json], metadata: dict[str, Json], error: Json
) -> dict[str, Json]:
    tags = {key: item for key, item in metadata.items()
            if key not in _NOT_PARAMS and key not in ASKED}  # fmt: skip
    named_ = {
        "span_name": about.get("name"),
        "purpose": about.get("purpose"),
        "trace_id": row.get("root_span_id"),
        "parent_span_id": _parent(row),
        "row_tags": decode(row.get("tags")),
        "error": error,
    }
    tags.update({key: item for key, item in named_.items() if item not in (None, "", [])})
    return tags


def _signals(row: Row) -> Iterator[Signal]:
    """What a span of a scorer found stands on the root as well."""
    kind = coerce.first(decode(row.get("span_attributes")), "type")
    scores = {} if kind == "score" else an_object(row.get("scores"))
    for name, score in scores.items():
        if score is not None:
            yield {"name": name, "score": score}, _score, None
    if _role(row) == "call" and row.get("expected") is not None:
        yield {"expected": row["expected"]}, _expected, None
    for item in coerce.sequence(decode(row.get("comments"))):
        if isinstance(item, dict):
            yield item, _comment, None


def _score(item: Json) -> Feedback:
    return Feedback(
        kind=item["name"],
        value=float(item["score"]) if isinstance(item["score"], bool)
        else coerce.number(f"scores.{item['name']}", item["score"]),
    )  # fmt: skip


def _expected(item: Json) -> Feedback:
    said = item["expected"]
    return Feedback("correction", corrected=said if isinstance(said, str) else dump(said))


def _comment(item: Json) -> Feedback:
    held = item.get("comment", item.get("text"))
    said = coerce.first(held, "text") if isinstance(held, dict) else held
    by = item.get("user")
    return Feedback(
        kind="comment",
        comment=coerce.text("comment", said),
        given_at=coerce.moment("created", item.get("created")),
        by=coerce.text("user", coerce.first(by, "id", "email") if isinstance(by, dict) else by),
    )


def _alone(row: Row) -> Iterator[Record]:
    raise UnreadableError("no span of Braintrust: span_attributes is missing")


_TRACES = Traces(NAME, VERSION, _rows, _key, _parent, _role, _call, _signals, _alone)
matches, records, reader = _TRACES.matches, _TRACES.records, _TRACES.reader
