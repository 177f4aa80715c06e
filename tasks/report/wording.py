"""Numbers and texts as people read them. Pages show scores in percent and differences in points;
terminals and the sentences of a verdict show them as they are, with three decimals.

Nothing is cut without a visible mark, and what could not be computed shows as a dash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.model.comparison import Interval
from tasks.model.turn import Turn

NOTHING = "–"

#: verdict → (what it means, may the challenger ship)
MEANING: Mapping[str, tuple[str, str]] = {
    "better": ("is better", "It may ship."),
    "no_worse": ("is no worse", "It may ship."),
    "worse": ("is worse", "It must not ship."),
    "cannot_tell": ("cannot be told apart", "This is not a pass: it must not ship yet."),
    "blocked": ("fails what must pass", "It must not ship."),
}


def headline(turn: Turn) -> tuple[str, str]:
    """What was found, and what follows from it."""
    meaning, consequence = MEANING[turn.verdict.verdict]
    challenger, champion = (turn.releases[role].name for role in ("challenger", "champion"))
    if turn.verdict.verdict == "cannot_tell":
        return f"{challenger} and {champion} {meaning}", consequence
    if turn.verdict.verdict == "blocked":
        return f"{challenger} {meaning}", consequence
    return f"{challenger} {meaning} than {champion}", consequence


def label(verdict: str) -> str:
    return verdict.replace("_", " ")


def decimal(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return NOTHING
    text = f"{value:+.3f}" if signed else f"{value:.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f}%"


def share(value: float | None) -> str:
    """A part of a whole; it may be negative."""
    return NOTHING if value is None else f"{round(100 * value)}%".replace("-", "−")


def points(value: float | None) -> str:
    """A difference in percentage points, always with its sign."""
    if value is None:
        return NOTHING
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def interval(ends: Interval | None, *, signed: bool = False) -> str:
    if ends is None:
        return NOTHING
    if signed:
        return f"{points(ends.low)} to {points(ends.high)}"
    return f"{100 * ends.low:.1f} to {100 * ends.high:.1f}"


def count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}".replace(",", " ")


def shortened(text: str, limit: int) -> tuple[str, int]:
    """The text within `limit` characters, and how many characters are left out (0: none)."""
    return (text, 0) if len(text) <= limit else (text[:limit], len(text) - limit)


def message_text(messages: tuple[Mapping[str, Any], ...]) -> str:
    """The input of a sample: its last user message plain, longer conversations with roles."""
    if len(messages) == 1:
        return content_text(messages[0].get("content"))
    return "\n".join(f"[{m.get('role', '?')}] {content_text(m.get('content'))}" for m in messages)


def content_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        if parts and all(isinstance(part, str) for part in parts):
            return "\n".join(str(part) for part in parts)
    return json.dumps(content, ensure_ascii=False)
