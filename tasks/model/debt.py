"""What nobody uses, owns or renews: a finding, and a log file over all its readings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

DebtKind = Literal[
    "unused_suite", "stale_suite", "stale_set", "no_owner", "silent_rule", "unevaluated_release",
    "dead_input", "undeclared_input", "unused_prompt", "expired_pin", "default_setting",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """`evidence` says what `value`, a number or a day, stands for; None: never, or nobody."""

    kind: DebtKind
    subject: str
    evidence: str
    value: int | str | None
    next: str


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A log file over all its readings; `last_rows_at`: the last that brought anything."""

    path: str
    rows_out: int
    last_rows_at: datetime | None
