"""Feedback as logs give it → Feedback values. Used by every format that carries any."""

from __future__ import annotations

from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Feedback, Json, UnreadableError

_THUMBS = {
    "up": 1.0, "thumbs_up": 1.0, "thumbs-up": 1.0, "positive": 1.0, "like": 1.0, "good": 1.0,
    "👍": 1.0,
    "down": -1.0, "thumbs_down": -1.0, "thumbs-down": -1.0, "negative": -1.0, "dislike": -1.0,
    "bad": -1.0, "👎": -1.0,
}  # fmt: skip
_KNOWN = frozenset({
    "record", "kind", "type", "name", "request_id", "value", "score", "comment", "explanation",
    "corrected", "correction", "at", "given_at", "timestamp", "by", "user", "by_hash",
})  # fmt: skip


def read_feedback(value: Json) -> tuple[Feedback, ...]:
    """One signal, a list of them, or a bare thumb. Raises UnreadableError on anything else."""
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    return tuple(one_feedback(item) for item in items)


def one_feedback(item: Json) -> Feedback:
    if isinstance(item, str | int | float):
        return Feedback("thumbs", value=_thumb(item))
    if not isinstance(item, dict):
        raise UnreadableError(f"feedback: expected an object, received {coerce.kind_of(item)}")
    if not item.keys() <= _KNOWN:
        unknown = min(str(key) for key in item.keys() - _KNOWN)
        raise UnreadableError(f"feedback: unknown key {unknown[:40]!r}")
    corrected = coerce.text("feedback.corrected", item.get("corrected", item.get("correction")))
    raw = item.get("value", item.get("score"))
    kind = coerce.text("feedback.kind", item.get("kind", item.get("type", item.get("name"))))
    if kind is None:
        kind = "correction" if corrected is not None else "thumbs"
    if kind.lower() in _THUMBS and raw is None:
        kind, raw = "thumbs", kind
    at = item.get("at", item.get("given_at", item.get("timestamp")))
    return Feedback(
        kind=kind,
        request_id=coerce.text("feedback.request_id", item.get("request_id")),
        value=_thumb(raw) if kind == "thumbs" else _number(raw),
        comment=coerce.text("feedback.comment", item.get("comment", item.get("explanation"))),
        corrected=corrected,
        given_at=coerce.moment("feedback.at", at),
        by=coerce.text("feedback.by", item.get("by", item.get("user", item.get("by_hash")))),
    )


def feedback_alone(value: dict[str, Json]) -> Feedback:
    """A record that is feedback and nothing else; it must name its call."""
    feedback = one_feedback(value)
    if feedback.request_id is None:
        raise UnreadableError("feedback without request_id: it speaks of no call")
    return feedback


def is_feedback_record(value: Json) -> bool:
    return isinstance(value, dict) and value.get("record") == "feedback"


def _thumb(value: Json) -> float:
    if isinstance(value, str):
        known = _THUMBS.get(value.strip().lower())
        if known is not None:
            return known
    if isinstance(value, bool):
        return 1.0 if value else -1.0
    number = coerce.number("feedback.value", value)
    if number not in (-1.0, 1.0):
        raise UnreadableError(f"feedback: a thumb is 1 or -1, received {str(value)[:40]!r}")
    return number


def _number(value: Json) -> float | None:
    if isinstance(value, bool):
        return 1.0 if value else 0.0
    return coerce.number("feedback.value", value)
