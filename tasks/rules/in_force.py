"""The rules a run judges by: ours and the user's rules on one table, composed in one place.

Every stage that judges takes its rules from here, so a replay judges as a run does.
"""

from __future__ import annotations

from expectations import calls, feedback, samples
from expectations.batches import BatchLimits, profile_rules, share_rules
from expectations.rules import RuleSet
from tasks.rules.user_rules import with_own_rules
from tasks.settings import Settings

NAMES = ("calls", "batch", "feedback", "samples")


def calls_rules(settings: Settings) -> RuleSet:
    """What new calls are judged by. Raises UsageError for a rule that cannot be read."""
    ours = calls.calls_rules(settings.validation.max_clock_skew_s)
    return _with_own(settings, ours.extended(share_rules(_limits(settings))))


def batch_rules(settings: Settings) -> RuleSet:
    """What the profile of a batch is judged by. Raises UsageError as above."""
    return _with_own(settings, profile_rules(_limits(settings)))


def feedback_rules(settings: Settings) -> RuleSet:
    """What new feedback is judged by. Raises UsageError as above."""
    validation = settings.validation
    ours = feedback.feedback_rules(validation.max_clock_skew_s, validation.max_lost_feedback_ratio)
    return _with_own(settings, ours)


def samples_rules(settings: Settings) -> RuleSet:
    """What the samples of an eval set are judged by. Raises UsageError as above."""
    return _with_own(settings, samples.samples_rules(settings.validation.max_garbled_ratio))


def _with_own(settings: Settings, rule_set: RuleSet) -> RuleSet:
    return with_own_rules(rule_set, settings.rules_path, NAMES)


def _limits(settings: Settings) -> BatchLimits:
    validation = settings.validation
    return BatchLimits(
        max_null_ratio=validation.max_null_ratio,
        max_garbled_ratio=validation.max_garbled_ratio,
        scripts=validation.scripts,
        max_other_script_ratio=validation.max_other_script_ratio,
        max_age_h=validation.max_age_h or None,
        min_volume_ratio=validation.min_volume_ratio or None,
        max_volume_ratio=validation.max_volume_ratio or None,
    )
