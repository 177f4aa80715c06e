"""Two reports of one call → one row with both in its sources.

A gateway and a span may tell of the same call; so may a span and the event with its messages. They
are one call when they share an id, there are exactly two of them, and nothing of weight
contradicts. The span's row is kept and takes from the other what it lacks. An answer that was cut
off where the log ended goes into the whole one, once that is there.
"""

from __future__ import annotations

from datetime import timedelta

from expectations.contracts import CALL_FIELDS
from tasks.logs.shapes.answers import CUT_OFF
from tasks.logs.shapes.json_text import dump, parse
from tasks.logs.shapes.rows import Row

_SPANS = (
    "otlp", "otel_spans", "otel_traces", "elastic", "jaeger", "zipkin", "logfire", "datadog",
    "sentry", "openai_agents", "openinference", "phoenix", "mlflow", "langfuse",
)  # fmt: skip
#: formats of sessions, which tell what another one said before once more, under ids of its calls
RETOLD = ("claude_code", "codex")
_COUNTS = ("input_tokens", "output_tokens")
_TEXTS = ("messages", "response")
MAX_APART = timedelta(hours=1)
_MAX_DEPTH = 250


def same_call(first: Row, second: Row) -> bool:
    """Whether two rows of landing that share an id are one call.

    Of one format only where they complete each other: two versions of a call are a conflict.
    """
    if _is_cut_off(first) != _is_cut_off(second):
        return bool(first["request_id"] == second["request_id"])
    if any(_differ(first, second, name) for name in _COUNTS):
        return False
    if first["started_at"] and second["started_at"]:
        apart: timedelta = abs(first["started_at"] - second["started_at"])
        if apart > MAX_APART:
            return False
    if first["format"] != second["format"]:
        return True
    completing = not any(_differ(first, second, name) for name in _TEXTS)
    return completing and first["format"] in _SPANS


def in_order(first: Row, second: Row) -> tuple[Row, Row]:
    """(kept, other): the span before the gateway, the span before its event."""
    return (second, first) if _rank(second) < _rank(first) else (first, second)


def merged(kept: Row, other: Row) -> Row:
    if _is_cut_off(other):  # the whole answer is no failure
        other = {**other, "status": None, "error_type": None}
    row = dict(kept)
    for name in CALL_FIELDS:
        if row[name] is None:
            row[name] = other[name]
    # what one of them knows to have failed did fail
    if other["status"] == "error" and kept["error_type"] is None:
        row["status"], row["error_type"] = "error", other["error_type"]
    row["tags"] = _tags(kept, other)
    row["sources"] = [*kept["sources"], *(s for s in other["sources"] if s not in kept["sources"])]
    return row


def _differ(first: Row, second: Row, name: str) -> bool:
    both = first[name] is not None and second[name] is not None
    return both and first[name] != second[name]


def _is_cut_off(row: Row) -> bool:
    return bool(row["error_type"] == CUT_OFF)


def _rank(row: Row) -> tuple[bool, int, bool, str]:
    known = row["format"] in _SPANS
    place = _SPANS.index(row["format"]) if known else len(_SPANS)
    return _is_cut_off(row), place, row["latency_s"] is None, row["content_digest"]


def _tags(kept: Row, other: Row) -> str | None:
    tags: dict[str, object] = {}
    for row in (other, kept):
        tags.update(parse(row["tags"].encode(), _MAX_DEPTH) if row["tags"] else {})
    if other["request_id"] != kept["request_id"]:
        tags["other_request_id"] = other["request_id"]
    return dump(tags) if tags else None
