"""When a batch is too bad to go on: the share of calls held back, against what is allowed. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from expectations.checks import Batch
from expectations.rules import Suite
from tasks.errors import DataError
from tasks.settings import ValidateSettings
from tasks.validate.outcomes import Summary

_MAX_SQL_CHARS = 160


class BatchStoppedError(DataError):
    """Too many calls failed. `counts` has the keys of `flywheel validate --json`."""

    def __init__(
        self, what: str, *, counts: Mapping[str, object], received: str, allowed: str, next: str
    ) -> None:
        super().__init__(what, received=received, allowed=allowed, next=next)
        self.counts = dict(counts)


def is_too_bad(rows_in: int, bad: int, settings: ValidateSettings) -> bool:
    """Whether more than the allowed share is bad.

    Fewer rows than `min_rows_for_ratio` never stop: a share of a handful says nothing.
    """
    return rows_in >= settings.min_rows_for_ratio and bad > settings.max_quarantined_ratio * rows_in


def batch_stopped(
    summary: Summary, settings: ValidateSettings, suite: Suite, batch: Batch, docs: str | None
) -> BatchStoppedError:
    """The error for a batch that is too bad, with counts, reasons and what to do."""
    rows_in, bad = summary.rows_in, summary.quarantined
    look = _look_command(suite, next(iter(summary.by_reason)), batch)
    return BatchStoppedError(
        f"too many calls failed validation: {bad} of {rows_in} ({bad / rows_in:.0%}); "
        "none was moved, all wait in landing",
        counts={
            "rows_in": rows_in,
            "rows_out": rows_in - bad,
            "quarantined": bad,
            "by_reason": dict(summary.by_reason),
            "success": False,
        },
        received=", ".join(f"{name} {rows}" for name, rows in summary.by_reason.items()),
        allowed=f"{settings.max_quarantined_ratio:.0%} of the calls",
        next=(
            f"{look}{f' (or open {docs})' if docs else ''}, then mend the logs, or raise "
            "[validate] max_quarantined_ratio to hold these calls back and go on"
        ),
    )


def _look_command(suite: Suite, rule_id: str, batch: Batch) -> str:
    """A read-only query that shows what the most frequent reason looked at."""
    rule = suite.rule(rule_id)
    columns = dict.fromkeys(("request_id", *rule.columns))
    predicate = rule.violation_sql(batch)
    if len(predicate) > _MAX_SQL_CHARS or "'" in predicate:
        predicate = ""
    where = f" where {predicate}" if predicate else ""
    return f"flywheel sql 'select {', '.join(columns)} from {batch.table}{where} limit 20'"
