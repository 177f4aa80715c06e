"""Rules on a batch of calls as a whole: they quarantine nothing, they stop the run.

Two kinds. Shares: a rule over the calls that only so many may violate (`share_rules`). Figures: a
rule over the one row that tells what the batch is like (BATCH_PROFILE, `profile_suite`); a figure
that cannot be known, such as a volume without history, is NULL and violates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from expectations.checks import Between, Never, Present, quoted
from expectations.contracts import BATCH_PROFILE, DATA_SET_FORMAT
from expectations.rules import Rule, RuleSet, When

#: a UTF-8 text read as Latin-1 or Windows-1252, and what a decoder puts for bytes it cannot read
_GARBLED = (
    "(contains({0}, '\N{REPLACEMENT CHARACTER}') OR contains({0}, 'â€') "
    "OR (contains({0}, 'Ã') AND regexp_matches({0}, 'Ã[\\x{{80}}-\\x{{BF}}]')))"
)
#: so much of a question tells its script; all of a long one would take seconds in a large batch
_ASKED_CHARS = 400
_ANY_LETTER = r"\p{L}"


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a batch may be like; ratios from 0 to 1. None and nothing: not judged."""

    max_null_ratio: Mapping[str, float] = field(default_factory=dict)
    max_garbled_ratio: float = 1.0
    scripts: tuple[str, ...] = ()
    max_other_script_ratio: float = 1.0
    max_age_h: float | None = None
    min_volume_ratio: float | None = None
    max_volume_ratio: float | None = None


#: rule id → the setting under [validate] that holds its limit
SETTINGS = {
    "whole_text": "max_garbled_ratio",
    "expected_scripts": "max_other_script_ratio",
    "fresh": "max_age_h",
    "volume_not_low": "min_volume_ratio",
    "volume_not_high": "max_volume_ratio",
    "feedback_joins_calls": "max_lost_feedback_ratio",
}


def share_rules(limits: BatchLimits) -> tuple[Rule, ...]:
    """Rules over the calls of a batch; a limit of 1 can never be exceeded and makes no rule."""
    rules = [
        Rule(
            f"few_nulls_{column}",
            "batch",
            Present(column),
            f"At most {ratio:.0%} of the calls lack {column}.",
            "A field that goes missing all at once is a change in what writes the logs.",
            when=(When("format", DATA_SET_FORMAT, equal=False),),
            max_ratio=min(ratio, 1.0),
        )
        for column, ratio in sorted(limits.max_null_ratio.items())
    ]
    if limits.max_garbled_ratio < 1:
        rules.append(
            Rule(
                "whole_text",
                "batch",
                Never(("messages", "response"), garbled("messages", "response")),
                "Texts are whole: no replacement characters, no UTF-8 read as another encoding.",
                "A step before us reads or writes the wrong encoding; no answer is comparable.",
                max_ratio=limits.max_garbled_ratio,
            )
        )
    if limits.scripts and limits.max_other_script_ratio < 1:
        expected = "".join(rf"\p{{{script}}}" for script in limits.scripts)
        rules.append(
            Rule(
                "expected_scripts",
                "batch",
                Never(("messages",), f"2 * {_letters(expected)} < {_letters(_ANY_LETTER)}"),
                f"At least half of the letters asked are {' or '.join(limits.scripts)}.",
                "Traffic in a language nobody planned for: the suites say nothing about it.",
                max_ratio=limits.max_other_script_ratio,
            )
        )
    return tuple(rule for rule in rules if rule.max_ratio < 1)


def garbled(*columns: str) -> str:
    """SQL that is true where a text of the columns has a broken encoding."""
    texts = [f"CAST({quoted(column)} AS VARCHAR)" for column in columns]
    # NULL is no text, so it is not garbled
    return " OR ".join(f"coalesce({_GARBLED.format(text)}, false)" for text in texts)


def _letters(of: str) -> str:
    """SQL for how many letters of a class the last message has: that is what was asked."""
    parts = "json_extract_string(\"messages\", '$[#-1].content[*].text')"
    text = "json_extract_string(\"messages\", '$[#-1].content')"
    asked = f"left(coalesce(nullif(array_to_string({parts}, ' '), ''), {text}, ''), {_ASKED_CHARS})"
    return f"length(regexp_replace({asked}, '[^{of}]', '', 'g'))"


def profile_rules(limits: BatchLimits) -> RuleSet:
    """Rules over the one row of BATCH_PROFILE."""
    rules = []
    if limits.max_age_h is not None:
        rules.append(
            Rule(
                "fresh",
                "batch",
                Between("age_h", maximum=limits.max_age_h),
                f"The newest call is at most {limits.max_age_h:g} hours old.",
                "Older: the logs have stopped coming, and a verdict would speak of the past.",
            )
        )
    if limits.min_volume_ratio is not None:
        rules.append(
            Rule(
                "volume_not_low",
                "batch",
                Between("volume_ratio", minimum=limits.min_volume_ratio),
                f"The newest whole day has at least {limits.min_volume_ratio:g} times the calls "
                "that its weekday usually has.",
                "Fewer: a part of the logs is missing; what is left is no fair sample.",
            )
        )
    if limits.max_volume_ratio is not None:
        rules.append(
            Rule(
                "volume_not_high",
                "batch",
                Between("volume_ratio", maximum=limits.max_volume_ratio),
                f"The newest whole day has at most {limits.max_volume_ratio:g} times the calls "
                "that its weekday usually has.",
                "More: logs are taken in twice under new ids, or a test or a loop is in them.",
            )
        )
    return RuleSet("batch", BATCH_PROFILE, tuple(rules))
