"""What validation came to, as values for the Data Docs and the error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tasks.rules.outcomes import Failures


@dataclass(frozen=True, slots=True)
class Summary:
    """What fails among the calls and the feedback, and the batch rules broken by either or by the
    profile, with what was found."""

    run_id: str
    judged_at: datetime
    calls: Failures
    stopped: bool
    broken: Mapping[str, str] = field(default_factory=dict)
    feedback: Failures = field(default_factory=Failures)
