"""When a batch is too bad to go on: the share of calls held back, and its batch rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from expectations.batches import SETTINGS
from expectations.contracts import BATCH_PROFILE
from expectations.rules import RuleSet
from tasks.errors import DataError
from tasks.rules.outcomes import Failures, Judged, RuleOutcome
from tasks.settings import ValidateSettings

_MAX_SQL_CHARS = 160


class BatchStoppedError(DataError):
    """The batch stays where it is. `counts` has the keys of `flywheel validate --json`."""

    def __init__(
        self, what: str, *, counts: Mapping[str, object], received: str, allowed: str, next: str
    ) -> None:
        super().__init__(what, received=received, allowed=allowed, next=next)
        self.counts = dict(counts)


def broken_figures(
    rule_set: RuleSet, outcomes: Iterable[RuleOutcome], profile: Mapping[str, object]
) -> dict[str, str]:
    """Rules over the profile of the batch that stop the run: rule id → the figures."""
    failed = [rule_set.rule(outcome.rule_id) for outcome in outcomes if not outcome.success]
    return {
        rule.id: ", ".join(f"{name} {_figure(profile[name])}" for name in rule.columns)
        for rule in failed
        if rule.severity == "batch"
    }


def described(profile: Mapping[str, Any], min_past_days: int) -> dict[str, Any]:
    """The profile as JSON values, with why the volume was not judged where it was not."""
    day = profile["day"]
    figures = {**profile, "day": day and f"{day:%Y-%m-%d}"}
    if profile["volume_ratio"] is not None:
        return figures
    why = (
        "no whole day of calls came in"
        if day is None
        else f"{profile['past_days']} of {min_past_days} same weekdays are stored"
        if profile["past_days"] < min_past_days
        else "the same weekdays had too few calls"
    )
    return figures | {"volume": f"no verdict: {why}"}


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def batch_broken(
    calls: Failures, broken: Mapping[str, str], judged: Sequence[Judged], docs: str | None
) -> BatchStoppedError:
    """The error for a batch that breaks a batch rule; the first is told in full."""
    name, figures = next(iter(broken.items()))
    part = next(part for part in judged if name in {rule.id for rule in part.rule_set.rules})
    rule = part.rule_set.rule(name)
    setting = SETTINGS.get(name, "max_null_ratio")
    limit = f"fix {rule.origin}" if rule.origin else f"change [validate] {setting}"
    others = ", ".join(list(broken)[1:])
    return BatchStoppedError(
        f"the batch breaks {name}; nothing was moved, all calls wait in landing",
        counts=calls.counts() | {"success": False, "batch_rules": dict(broken)},
        received=figures + (f"; broken too: {others}" if others else ""),
        allowed=rule.meaning,
        next=(
            f"{_look_command(part, name)}"
            f"{f' (or open {docs})' if docs else ''}, then fix the logs and run again: "
            f"what waits is judged with what is new; or {limit}"
        ),
    )


def batch_stopped(
    calls: Failures, settings: ValidateSettings, judged: Judged, docs: str | None
) -> BatchStoppedError:
    """The error for a batch that is too bad, with counts, reasons and what to do."""
    rows_in, bad = calls.rows_in, calls.quarantined
    look = _look_command(judged, next(iter(calls.by_reason)))
    return BatchStoppedError(
        f"too many calls failed validation: {bad} of {rows_in} ({bad / rows_in:.0%}); "
        "none was moved, all wait in landing",
        counts=calls.counts() | {"success": False},
        received=", ".join(f"{name} {rows}" for name, rows in calls.by_reason.items()),
        allowed=f"{settings.max_quarantined_ratio:.0%} of the calls",
        next=(
            f"{look}{f' (or open {docs})' if docs else ''}, then fix the logs, or raise "
            "[validate] max_quarantined_ratio to hold these calls back and go on"
        ),
    )


def _look_command(judged: Judged, rule_id: str) -> str:
    """A read-only query that shows what the most frequent reason looked at."""
    rule, batch = judged.rule_set.rule(rule_id), judged.batch
    if judged.rule_set.table is BATCH_PROFILE:
        return f"flywheel sql 'from {BATCH_PROFILE.name}'"
    columns = dict.fromkeys(("request_id", *rule.columns))
    predicate = rule.violation_sql(batch)
    if len(predicate) > _MAX_SQL_CHARS or "'" in predicate or "--" in predicate:
        predicate = ""
    where = f" where {predicate}" if predicate else ""
    return f"flywheel sql 'select {', '.join(columns)} from {batch.table}{where} limit 20'"
