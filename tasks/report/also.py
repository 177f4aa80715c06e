"""What other scorers found of the answers of a suite, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.model.answer import AlsoScored
from tasks.model.verdict import AlsoMeasured, SuiteResult
from tasks.report.wording import interval, percent, points


def also_told(suites: Sequence[SuiteResult]) -> Iterator[str]:
    """One text for every scorer that a suite has besides the one that decides."""
    for suite in suites:
        for one in suite.also:
            yield f"{suite.rule.name} by {one.metric}: {_numbers(one)}"


def also_scored(one: AlsoScored) -> str:
    """What it gave to an answer, and why."""
    if one.value is None:
        return f"{one.scorer}: not scored: {one.unscored_reason}"
    return f"{one.scorer}: {percent(one.value)}" + (
        f", {one.explanation}" if one.explanation else ""
    )


def _numbers(one: AlsoMeasured) -> str:
    text = f"champion {percent(one.champion)}, challenger {percent(one.challenger)}"
    if one.difference is not None:
        ends = interval(one.interval, signed=True)
        text += f", difference {points(one.difference)} points [{ends}]"
    unknown = one.num_unknown_champion + one.num_unknown_challenger
    return text + (f", {unknown:,} answers not scored" if unknown else "")
