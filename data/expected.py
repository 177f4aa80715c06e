"""What every stage must count in the logs, from the numbers of faults and planted texts alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from exports import Logged
from faults import FAULTS, PLANTED

_EMAIL = r"\b[\w.]+@\w+\.example\b"
_SECRET = r"password: Tulip\d+x"


def expected(files: Mapping[str, Mapping[str, int]], logged: Sequence[Logged]) -> dict[str, Any]:
    """`files`: file name → its lines and feedback. `logged`: all calls before the faults."""
    lost: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for fault in FAULTS:
        lost[fault.outcome] += fault.num_calls
        if fault.outcome == "quarantined":
            reasons[fault.reason] += fault.num_calls
    lines = sum(file["lines"] for file in files.values())
    calls = lines - lost["duplicate"] - lost["dead letter"]
    return {
        "ingest": {
            "rows_in": lines,
            "rows_out": calls,
            "duplicates": lost["duplicate"],
            "dead_letters": lost["dead letter"],
            "feedback": sum(file["feedback"] for file in files.values()),
        },
        "validate": {
            "rows_in": calls,
            "rows_out": calls - lost["quarantined"],
            "quarantined": lost["quarantined"],
            "by_reason": dict(sorted(reasons.items())),
        },
        "redact": {
            "rows": calls - lost["quarantined"],
            "redactions": {"email": _count(logged, _EMAIL), "secret": _count(logged, _SECRET)},
        },
        "curate": {
            "exact_duplicates": PLANTED["exact_duplicate"],
            "near_duplicates": PLANTED["near_duplicate"],
            "errors_without_target": lost["left out"],
        },
    }


def _count(logged: Sequence[Logged], pattern: str) -> int:
    """Occurrences in texts, answers (the model repeats some) and comments. No call with one of
    them gets a fault, so all of them reach redact."""
    said = [text for call in logged for text in (call.text, call.answer)]
    said += [signal.comment or "" for call in logged for signal in call.signals]
    return sum(len(re.findall(pattern, text)) for text in said)
