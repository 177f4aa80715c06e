"""What Great Expectations found, as plain values, and whether our own SQL found the same.

GX decides what failed; our SQL says which rows. Both come from one declaration, so a difference is
a bug, and a bug here would quarantine the wrong calls: it stops the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


def broken_shares(
    rule_set: RuleSet, outcomes: Iterable[RuleOutcome], rows_in: int, min_rows: int
) -> dict[str, str]:
    """Batch rules over rows that are broken: rule id → what was found.

    A rule that lets a share pass is never broken in fewer rows than `min_rows`.
    """
    broken = {}
    for outcome in outcomes:
        rule = rule_set.rule(outcome.rule_id)
        too_few = rule.max_ratio > 0 and rows_in < min_rows
        if rule.severity == "batch" and not outcome.success and not too_few:
            broken[rule.id] = (
                f"{outcome.unexpected_rows} of {rows_in}, allowed share {rule.max_ratio:.0%}"
            )
    return broken
