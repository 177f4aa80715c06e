"""The rules on feedback: what a signal on a call must hold to be counted for or against it.

Critical where a violation would turn the signal into a false one; what merely finds no call, or
says less than it could, warns. Only where nearly none finds its call does the batch stop.
"""

from __future__ import annotations

from expectations.checks import AfterNow, Between, KnownIn, Matches, Never, OneOf, Present
from expectations.contracts import FEEDBACK
from expectations.rules import Rule, RuleSet, When

_THUMBS = (When("kind", "thumbs"),)
_CALLS = ("landing", "requests", "merged_reports", "quarantine")


def feedback_rules(max_clock_skew_s: float, max_lost_ratio: float = 1.0) -> RuleSet:
    """Rules over `feedback`; more than `max_lost_ratio` without a call stops the batch (1: off)."""
    lost = Rule(
        "feedback_joins_calls",
        "batch",
        KnownIn("request_id", _CALLS),
        f"At most {max_lost_ratio:.0%} of the signals speak of calls that have not come in.",
        "Nearly none finds its call: the two logs do not write the same ids.",
        max_ratio=max_lost_ratio,
    )
    batch = (lost,) if max_lost_ratio < 1 else ()
    return RuleSet("feedback", FEEDBACK, (*_critical(max_clock_skew_s), *_WARNINGS, *batch))


def _critical(max_clock_skew_s: float) -> tuple[Rule, ...]:
    return (
        Rule(
            "feedback_names_a_call",
            "critical",
            Matches("request_id", r"\S"),
            "Every signal names the call it speaks of.",
            "Without one it says nothing about any answer.",
        ),
        Rule(
            "feedback_has_kind",
            "critical",
            Matches("kind", r"\S"),
            "Every signal says what kind it is.",
            "A number of an unknown kind may mean anything.",
        ),
        Rule(
            "feedback_value_is_finite",
            "critical",
            Never(("value",), 'isnan("value") OR isinf("value")'),
            "The value is a number.",
            "NaN and infinity are neither for nor against a call.",
        ),
        Rule(
            "thumb_has_value",
            "critical",
            Present("value"),
            "A thumb has a direction.",
            "Without one it would count as neither, and look like a vote.",
            when=_THUMBS,
        ),
        Rule(
            "thumb_is_up_or_down",
            "critical",
            OneOf("value", (-1.0, 1.0)),
            "A thumb is -1 or 1.",
            "Another number is a rating under the wrong name.",
            when=_THUMBS,
        ),
        Rule(
            "feedback_not_in_future",
            "critical",
            Between("given_at", maximum=AfterNow(max_clock_skew_s)),
            "The signal is not given in the future, give or take the allowed clock skew.",
            "The newest signal on a call counts: a wrong clock would always win.",
        ),
    )


_WARNINGS = (
    Rule(
        "correction_has_text",
        "warning",
        Present("corrected"),
        "A correction says what the answer should have been.",
        "Without the text it counts as a failure, but gives no target.",
        when=(When("kind", "correction"),),
    ),
    Rule(
        "audit_has_text",
        "warning",
        Present("corrected"),
        "An audit says what the right answer is.",
        "Without the text the call counts as one that nobody looked at.",
        when=(When("kind", "audit"),),
    ),
    Rule(
        "correction_not_blank",
        "warning",
        Matches("corrected", r"\S"),
        "The corrected answer is not blank.",
        "A blank target can be met by no answer.",
    ),
    Rule(
        "feedback_has_time",
        "warning",
        Present("given_at"),
        "Every signal says when it was given.",
        "Of two signals that disagree, the newer one counts.",
    ),
    Rule(
        "feedback_finds_its_call",
        "warning",
        KnownIn("request_id", _CALLS),
        "The call that a signal speaks of has come in.",
        "It waits: a call that comes in later still meets it.",
    ),
)
