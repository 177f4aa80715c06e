"""What validation came to, as values for the receipt, the Data Docs and the error. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Failures:
    """What fails among `rows_in` rows, each bad one once, under the first rule it fails.

    `broken`: batch rules that stop the run, with what they found.
    """

    rows_in: int = 0
    by_reason: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        return sum(self.by_reason.values())


@dataclass(frozen=True, slots=True)
class Summary:
    """What validation came to: `by_reason` counts each bad call once, under its first failure.

    `broken`: batch rules that stop the run, with what was found.
    """

    run_id: str
    judged_at: datetime
    rows_in: int
    by_reason: Mapping[str, int]
    warnings: Mapping[str, int]
    stopped: bool
    broken: Mapping[str, str] = field(default_factory=dict)
    feedback: Failures = field(default_factory=Failures)

    @property
    def quarantined(self) -> int:
        return sum(self.by_reason.values())
