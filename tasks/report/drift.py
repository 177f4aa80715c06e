"""What drifted, in words. Pure; an alarm is one of the notes of tasks/watch/check.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.report.wording import share


def moved(alarm: Mapping[str, Any]) -> str:
    """Which values came more or less often than before; empty where that is not known."""
    return ", ".join(
        f"{one['value']} {share(one['old_share'])} → {share(one['new_share'])}"
        for one in alarm.get("moved", ())
    )
