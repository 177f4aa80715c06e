"""What Great Expectations found, as plain values, and whether our own SQL found the same.

GX decides what failed; our SQL says which rows. Both come from one declaration, so a difference is
a bug, and a bug here would quarantine the wrong calls: it stops the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from expectations.checks import JudgedTable
from expectations.rules import RuleSet
from tasks.errors import FlywheelError


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What GX found for one rule among `num_rows` (those the rule speaks of).

    `exception` is set where it could not judge at all.
    """

    rule_id: str
    success: bool
    unexpected_rows: int
    exception: str | None = None
    num_rows: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """A set of rules, the rows they were asked about, and one outcome a rule, in their order."""

    rule_set: RuleSet
    batch: JudgedTable
    outcomes: tuple[RuleOutcome, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """What fails among `rows_in` rows, each bad one once, under the first critical rule it fails.

    `warnings` counts rows by rule, `broken` are batch rules that stop the run, with what they
    found.
    """

    rows_in: int = 0
    by_reason: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        return sum(self.by_reason.values())

    def counts(self) -> dict[str, Any]:
        """As JSON values, for receipts and errors."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_in - self.quarantined,
            "quarantined": self.quarantined,
            "by_reason": dict(self.by_reason),
        }


class JudgesDisagreeError(FlywheelError):
    """GX and our SQL do not say the same of an expectation: ours to mend, nothing was moved."""


def check_agreement(
    outcomes: Iterable[RuleOutcome], rows_by_rule: Mapping[str, int], rule_set: RuleSet
) -> None:
    """Raise JudgesDisagreeError on the first rule that GX and our SQL judge differently.

    Which share of its rows a batch rule lets pass is for GX to say: only the rows are compared.
    """
    for outcome in outcomes:
        rows = rows_by_rule[outcome.rule_id]
        if outcome.exception is not None:
            raise JudgesDisagreeError(
                f"expectation {outcome.rule_id} could not be judged",
                received=outcome.exception,
                next="report this as a bug; nothing was moved",
            )
        allows_some = rule_set.rule(outcome.rule_id).max_ratio > 0 and rows > 0
        same_end = allows_some or outcome.success == (rows == 0)
        if outcome.unexpected_rows != rows or not same_end:
            raise JudgesDisagreeError(
                f"Great Expectations and the store disagree on expectation {outcome.rule_id}",
                received=(
                    f"{outcome.unexpected_rows} unexpected rows and "
                    f"{'success' if outcome.success else 'failure'} against {rows} rows"
                ),
                next="report this as a bug; nothing was moved",
            )
