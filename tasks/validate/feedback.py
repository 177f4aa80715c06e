"""New feedback through its suite: false signals into quarantine, the rest stays where it is."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import TYPE_CHECKING, Any

from expectations.checks import Batch
from expectations.rules import Suite
from tasks.privacy.observed import shown
from tasks.rules.ask import mark
from tasks.rules.outcomes import broken_shares, check_agreement
from tasks.settings import ValidateSettings
from tasks.store import Store
from tasks.store.held import feedback as held_feedback
from tasks.store.held import quarantine
from tasks.store.held.feedback import NEW
from tasks.store.held.quarantine import Judgement
from tasks.validate.summary import FeedbackFound

if TYPE_CHECKING:
    from tasks.rules.gx import Verdict


def look(
    store: Store, suite: Suite, batch: Batch, verdict: Verdict, settings: ValidateSettings
) -> FeedbackFound:
    """Mark what fails; moves nothing. Raises JudgesDisagreeError."""
    rows_by_rule = mark(store, suite, batch, NEW)
    check_agreement(verdict.outcomes, rows_by_rule, suite)
    rows_in = held_feedback.count_new(store)
    return FeedbackFound(
        rows_in,
        quarantine.first_failures(store, NEW),
        {rule.id: rows_by_rule[rule.id] for rule in suite.of("warning") if rows_by_rule[rule.id]},
        broken_shares(suite, verdict.outcomes, rows_in, settings.min_rows_for_ratio),
    )


def hold_back(
    store: Store,
    suite: Suite,
    found: FeedbackFound,
    judgement: Judgement,
    mask: Callable[[str], str],
    hidden: Set[str],
) -> dict[str, Any]:
    """Move what fails a critical rule into quarantine, take over the rest; returns notes."""
    for rule_id in found.by_reason:
        columns = suite.rule(rule_id).columns
        observed = {
            feedback_id: shown(columns, values, mask, hidden)
            for feedback_id, values in held_feedback.failing(store, rule_id, columns).items()
        }
        assert len(observed) == found.by_reason[rule_id], f"{rule_id} lost count of feedback"
        held_feedback.hold_back(store, judgement, columns, observed)
    held_feedback.adopt(store, judgement.run_id)
    quarantined = sum(found.by_reason.values())
    return {
        "rows_in": found.rows_in,
        "rows_out": found.rows_in - quarantined,
        "quarantined": quarantined,
        "by_reason": dict(found.by_reason),
        "warnings": dict(found.warnings),
    }
