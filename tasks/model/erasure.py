"""What was erased of the samples that a verdict stood on, and how that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: in place of a text of ours that quoted what was erased
BLOT = "(erased)"


@dataclass(frozen=True, slots=True)
class Erasure:
    """So many samples left the eval set at that time (UTC)."""

    erased_at: datetime
    num_samples: int

    def to_json(self) -> dict[str, Any]:
        return {"at": f"{self.erased_at.isoformat()}Z", "num_samples": self.num_samples}


def erased(erasures: Sequence[Erasure]) -> str:
    """What is said beside a verdict; empty where nothing was erased."""
    if not erasures:
        return ""
    days = ", ".join(dict.fromkeys(f"{one.erased_at:%Y-%m-%d}" for one in erasures))
    number = sum(one.num_samples for one in erasures)
    samples = f"{number:,} sample{'' if number == 1 else 's'} of its eval set"
    return (
        f"Its inputs were partly erased on {days} ({samples}), so it cannot be re-executed whole."
    )
