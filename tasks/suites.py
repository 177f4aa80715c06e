"""The suites a run judges by: ours and the user's rules on one table, composed in one place.

Every stage that judges takes its suite from here, so a replay judges as a run does.
"""

from __future__ import annotations

from expectations import calls
from expectations.rules import Suite
from tasks.own_suites import with_own_rules
from tasks.settings import Settings

NAMES = ("calls",)


def calls_suite(settings: Settings) -> Suite:
    """What every new call is judged by. Raises UsageError for a rule that cannot be read."""
    return with_own_rules(
        calls.calls_suite(settings.validation.max_clock_skew_s), settings.rules_path, NAMES
    )
