"""Samples of eval sets for the tests of expectations: a good one, and changes that break a rule."""

from __future__ import annotations

import json
from typing import Any


def asking(text: str) -> str:
    return json.dumps([{"role": "user", "content": text}], ensure_ascii=False)


def sample(number: int, **changes: Any) -> dict[str, Any]:
    """A good sample with some fields changed."""
    return {
        "sample_id": f"sample-{number}",
        "suite": "route",
        "task": "route",
        "messages": asking(f"question {number}"),
        "system": None,
        "target": "billing",
        "target_kind": "gold",
        "origin": "suite",
        "slices": "{}",
        "must_pass": False,
        "weight": 1.0,
        "request_id": None,
        **changes,
    }


_LONG = "the whole answer, word for word"
#: rule id → rows that fail this rule and no other
BAD_SAMPLES: dict[str, list[dict[str, Any]]] = {
    "sample_asks": [
        {"messages": "[]"},
        {"messages": '"hi"'},
        {"messages": "null"},
        {"messages": '[{"content": "hi"}]'},
    ],
    "sample_has_target": [{"target": ""}, {"target": " \n"}],
    "known_target_kind": [{"target_kind": "silver"}],
    "known_origin": [{"origin": "elsewhere"}],
    "weight_possible": [{"weight": -1.0}, {"weight": float("nan")}, {"weight": float("inf")}],
    "slices_are_an_object": [{"slices": "[]"}, {"slices": "null"}],
    "one_target_a_question": [
        {"messages": asking("same"), "target": "a"},
        {"messages": asking("same"), "target": "b"},
    ],
    "target_not_in_question": [{"messages": asking(f"Say: {_LONG}!"), "target": _LONG}],
}
GOOD_SAMPLES: list[dict[str, Any]] = [
    {},
    {"messages": asking("twice"), "target": "same"},
    {"messages": asking("twice"), "target": "same"},
    {"messages": asking("other"), "target": "x"},
    {"messages": asking("other"), "target": "y", "system": "Be kind."},
    {"messages": asking("yes or no?"), "target": "yes"},
    {"target": "'; DROP TABLE samples; -- %s", "slices": '{"language": "de"}'},
]
