"""What every reader makes of a file: rows of one run, with their scores as they stood there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.referee.scale import Scale

#: of a file that does not name its suite
UNNAMED = "results"


@dataclass(frozen=True, slots=True)
class Mark:
    """What one scorer said of one answer, in its own scale. `value` is as it stood in the file:
    whether it is a number is for scale.py to say. `reason`: why it said nothing."""

    value: Any
    answer: str | None = None
    explanation: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One answer of a run to one sample. Rows of one suite and id are repeats.

    `marks`: scorer → what it said; in the order of the file. `error`: why the run has no answer.
    `details`: what else is known of the sample, for --slice and --cluster. `release`: which of
    several in one file. `target_digest`: of a target that is not shown.
    """

    suite: str
    item_id: str
    marks: Mapping[str, Mark]
    error: str | None = None
    text: str | None = None
    question: str = ""
    target: str = ""
    cluster: str = ""
    weight: float = 1.0
    must_pass: bool = False
    slices: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    release: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_s: float | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """A run that others made. `source`: as it was named. `digest`: of its bytes. `notes`: what its
    file says of itself that a reader should know. `metrics`: those of which one may be taken
    without being asked for; None: any."""

    name: str
    source: str
    format: str
    digest: str
    rows: Sequence[Row]
    notes: tuple[str, ...] = ()
    metrics: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are to be read. `metric` empty: the first that all runs have. `slices` and
    `cluster`: names among the rows' details."""

    metric: str = ""
    scale: Scale = field(default_factory=Scale)
    slices: tuple[str, ...] = ()
    cluster: str = ""
    max_missing_ratio: float = 0.1


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """The members that are one text, number or truth value, as texts: what may be a slice."""
    found = {}
    for key, value in values.items():
        if isinstance(value, bool):
            found[str(key)] = str(value).lower()
        elif isinstance(value, str | int | float):
            found[str(key)] = str(value)
    return found


def shown(value: Any) -> str:
    """A text as it is; of a list its parts, of anything else its JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
