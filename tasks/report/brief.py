"""Which sentences of a verdict come first, for terminals and pages alike. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.model.verdict import RecordedVerdict


def brief(
    decided: RecordedVerdict, warnings: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why, in a sentence, or two where something must pass, and what is probably wrong with the
    set-up; then all other sentences."""
    num_why = 2 if decided.verdict == "blocked" else 1
    told = (*decided.reasons[:num_why], *warnings)
    told = tuple(dict.fromkeys(told))
    return told, tuple(reason for reason in decided.reasons if reason not in told)
