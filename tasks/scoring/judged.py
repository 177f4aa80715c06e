"""Suites whose answers a model judges: which they are, and what stands in the place of a scorer.

A judge is asked after all answers are there (tasks/judges), so what stands here scores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.errors import UsageError, did_you_mean
from tasks.scoring.base import unscored
from tasks.scoring.instrument import Instrument
from tasks.settings import CONFIG_NAME, Settings

_PREFIX = "judge:"


def judge_of(settings: Settings, suite: str) -> str | None:
    """The name of the judge of a suite; None where a scorer scores it."""
    declared = settings.suites.get(suite)
    if declared is None or not isinstance(declared.scorer, Mapping):
        return None
    return declared.scorer.get("judge")


def metric_of(judge: str) -> str:
    """What the scores of a judge are kept under, without its version."""
    return _PREFIX + judge


def is_judged(metric: str) -> bool:
    return metric.startswith(_PREFIX)


def judged_instrument(settings: Settings, suite: str, declared: Mapping[str, Any]) -> Instrument:
    """Raises UsageError on a judge that is not declared, and on parameters, which are the
    judge's."""
    key, name = f"suites.{suite}.scorer", declared["judge"]
    if not isinstance(name, str) or name not in settings.judges:
        raise UsageError(
            f"suite {suite!r} has a judge that {CONFIG_NAME} does not declare"
            + (did_you_mean(name, settings.judges) if isinstance(name, str) else ""),
            received=repr(name)[:120],
            allowed=", ".join(sorted(settings.judges)) or "no judge is declared yet",
            next=f"add [judges.NAME], or correct {key}",
        )
    if more := sorted(declared.keys() - {"judge"}):
        raise UsageError(
            f"a scorer that is a judge has no parameter {more[0]!r}",
            received=f"{key}.{more[0]}",
            allowed="judge",
            next=f"set it in [judges.{name}]",
        )
    metric = metric_of(name)
    reason = f"the judge {name} has not judged it"
    return Instrument(metric, metric, lambda _text, _target: unscored(reason))
