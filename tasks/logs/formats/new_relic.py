"""New Relic's AI monitoring: events of a chat completion, its summary and its messages.

`LlmChatCompletionSummary` is a call; each `LlmChatCompletionMessage` of its `completion_id` is one
of its messages, in any order. `LlmEmbedding` is a call by itself, other events (`LlmTool`,
`LlmVectorSearch`, `LlmAgent`) are counted. `LlmFeedbackMessage` speaks of the last call of its
trace. Rows of a query need not say what event they are; what they hold does. Durations are
milliseconds, `timestamp` is the start. Source: the agents of New Relic, its Event API and CLI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.traces import Role, Row, Signal, Traces, first_told
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import NOT_RECORDED, Answer, finish
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Call, Feedback, Json, Other, Record

NAME = "new_relic"
VERSION = "new_relic@1"

_SUMMARY, _MESSAGE = "LlmChatCompletionSummary", "LlmChatCompletionMessage"
_EMBEDDING, _FEEDBACK = "LlmEmbedding", "LlmFeedbackMessage"
_OTHERS = ("LlmTool", "LlmVectorSearch", "LlmVectorSearchResult", "LlmAgent")
_COUNTS = {"input": "response.usage.prompt_tokens", "output": "response.usage.completion_tokens",
           "total": "response.usage.total_tokens"}  # fmt: skip
_PARAMS = {"request.temperature": "temperature", "request.max_tokens": "max_tokens"}
_TEXTS = {"session_id": ("llm.conversation_id", "conversation_id"), "user": ("llm.user_id",)}
_NOT_TAGS = frozenset(name for names in _TEXTS.values() for name in names)
_YES = (True, 1, "true", "True", "1")
#: of a summary, the events of its messages
_MESSAGES = "_messages"


def _kind(row: Json) -> str | None:
    """The type of the event; None: it is none of these."""
    if not isinstance(row, dict):
        return None
    told = coerce.first(row, "eventType", "event_type")
    if told is not None:
        kinds = (_SUMMARY, _MESSAGE, _EMBEDDING, _FEEDBACK, *_OTHERS)
        return told if told in kinds else None
    if "ingest_source" not in row:
        return None
    if "completion_id" in row and "sequence" in row:
        return _MESSAGE
    if "response.number_of_messages" in row:
        return _SUMMARY
    if "rating" in row and "trace_id" in row:
        return _FEEDBACK
    return _EMBEDDING if "input" in row and "request.model" in row else None


def _rows(value: Json) -> list[Json]:
    return [value] if _kind(value) is not None else []


def _key(row: Row) -> tuple[str, str] | None:
    kind = _kind(row)
    if kind in _OTHERS:
        return None
    trace = coerce.text("trace_id", row.get("trace_id")) or ""
    own = coerce.text("id", row.get("id")) or ""
    return trace, f"feedback:{own}" if kind == _FEEDBACK else own


def _role(row: Row) -> Role:
    if _kind(row) in (_SUMMARY, _EMBEDDING):
        return "call"
    return "about" if _kind(row) == _FEEDBACK else "other"


def _pieces(rows: dict[str, Row]) -> tuple[dict[str, Row], set[str]]:
    """Messages go into the summary of their completion; without one they are counted alone."""
    whole, gone = dict(rows), set[str]()
    summaries = {row.get("id"): own for own, row in rows.items() if _kind(row) == _SUMMARY}
    for own, row in rows.items():
        summary = summaries.get(str(row.get("completion_id"))) if _kind(row) == _MESSAGE else None
        if summary is not None:
            held = [*coerce.sequence(whole[summary].get(_MESSAGES)), row]
            whole[summary] = {**whole[summary], _MESSAGES: held}
            gone.add(own)
    return {own: row for own, row in whole.items() if own not in gone}, gone


def _call(row: Row, _: list[Row]) -> Call:
    embedded = _kind(row) == _EMBEDDING
    held = sorted((message for message in coerce.sequence(row.get(_MESSAGES))), key=_sequence)
    said = [message for message in held if message.get("is_response") in _YES]
    asked = [_message(message) for message in held if message.get("is_response") not in _YES]
    if embedded and row.get("input") is not None:
        asked = [{"role": "user", "content": row["input"]}]
    model = coerce.text("model", coerce.first(row, "response.model", "request.model"))
    reason = coerce.text("finish_reason", row.get("response.choices.finish_reason"))
    params = {ours: row[name] for name, ours in _PARAMS.items() if row.get(name) is not None}
    call = Call(
        **first_told([row], _TEXTS),
        request_id=coerce.text("id", row.get("id")),
        started_at=coerce.moment("timestamp", row.get("timestamp")),
        provider=named(coerce.text("vendor", row.get("vendor"))),
        model=model,
        operation="embeddings" if embedded else "chat",
        messages=asked or None,
        params=params or None,
        finish_reason=reason,
        latency_s=coerce.seconds("duration", row.get("duration"), 1000.0),
        tags=_tags(row),
        **_counts(row),
    )
    answer = NOT_RECORDED
    if embedded:
        answer = Answer(complete=True)
    elif said:
        answer = Answer(_message(said[0]), other_choices=[_message(each) for each in said[1:]])
    failed = row.get("error") in _YES
    return finish(call, answer, error=row.get("error.class", "error") if failed else None)


def _counts(row: Row) -> dict[str, Any]:
    counts: dict[str, Any] = {name: usage.known(of, row.get(of)) for name, of in _COUNTS.items()}
    return dict(usage.Reported(**counts).canonical()) if any(counts.values()) else {}


def _sequence(message: Json) -> int:
    return coerce.integer("sequence", coerce.first(message, "sequence")) or 0


def _message(row: dict[str, Json]) -> dict[str, Json]:
    return {"role": coerce.text("role", row.get("role")) or "user", "content": row.get("content")}


def _tags(row: Row) -> dict[str, Any]:
    about = {"response_id": row.get("request_id"), "span_id": row.get("span_id"),
             "trace_id": row.get("trace_id"), "application": row.get("appName")}  # fmt: skip
    own = {name.removeprefix("llm."): item for name, item in row.items()
           if name.startswith("llm.") and name not in _NOT_TAGS}  # fmt: skip
    return {name: item for name, item in {**own, **about}.items() if item not in (None, "")}


def _signals(row: Row) -> Iterator[Signal]:
    if _kind(row) == _FEEDBACK:
        yield row, _feedback, ""


def _feedback(row: Json) -> Feedback:
    """A number is a value, a word a comment, as its message is."""
    said = row.get("rating")
    is_number = isinstance(said, int | float) or (
        isinstance(said, str) and said.lstrip("-").replace(".", "", 1).isdecimal()
    )
    comment = coerce.text("message", row.get("message"))
    return Feedback(
        kind=coerce.text("category", row.get("category")) or "rating",
        value=coerce.number("rating", said) if is_number else None,
        comment=comment if is_number or comment else coerce.text("rating", said),
        given_at=coerce.moment("timestamp", row.get("timestamp")),
    )


def _alone(_: Row) -> Iterator[Record]:
    yield Other()


_TRACES = Traces(
    NAME, VERSION, _rows, _key, lambda row: None, _role, _call, _signals, _alone, _pieces
)
matches, records, reader = _TRACES.matches, _TRACES.records, _TRACES.reader
