"""Feedback for the tests of expectations: a good signal, and changes that each break one rule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.expectations.call_rows import NOW

#: a call that has come in
CALL_ID = "call-1"


def signal(number: int, **changes: Any) -> dict[str, Any]:
    """A good signal with some fields changed."""
    return {
        "feedback_id": f"signal-{number}",
        "request_id": CALL_ID,
        "kind": "thumbs",
        "value": 1.0,
        "comment": "jane.doe@example.com was pleased",
        "given_at": NOW - timedelta(minutes=5),
        "source": f"feedback.jsonl:{number}",
        "run_id": "run-1",
        **changes,
    }


#: rule id → rows that fail this rule and no other (a blank id finds no call either)
BAD_FEEDBACK: dict[str, list[dict[str, Any]]] = {
    "feedback_names_a_call": [{"request_id": " "}],
    "feedback_has_kind": [{"kind": ""}],
    "feedback_value_is_finite": [
        {"kind": "rating", "value": float("nan")},
        {"kind": "rating", "value": float("-inf")},
    ],
    "thumb_has_value": [{"value": None}],
    "thumb_is_up_or_down": [{"value": 0.5}],
    "feedback_not_in_future": [{"given_at": NOW + timedelta(seconds=301)}],
    "correction_has_text": [{"kind": "correction", "value": None}],
    "audit_has_text": [{"kind": "audit", "value": None}],
    "correction_not_blank": [{"kind": "correction", "value": None, "corrected": " \t"}],
    "feedback_has_time": [{"given_at": None}],
    "feedback_finds_its_call": [{"request_id": "nobody"}],
}
GOOD_FEEDBACK: list[dict[str, Any]] = [
    {},
    {"value": -1.0, "comment": None},
    {"kind": "rating", "value": 4.5},
    {"kind": "correction", "value": None, "corrected": "Oslo'; DROP TABLE feedback; --"},
    {"kind": "audit", "value": None, "corrected": "Oslo"},
    {"kind": "incident", "value": None},
    {"request_id": "stored"},
    {"request_id": "held"},
    {"request_id": "merged"},
    {"given_at": NOW + timedelta(seconds=300)},
]
