"""The rules on calls: what a logged LLM call must hold to be believed and replayed.

A rule is critical where a violation makes the call useless or its numbers false: it cannot be
replayed, cannot be told from another call, or says something impossible about when it happened or
how many tokens it took. All else warns: it is counted, shown, and goes on.

Order matters: the first rule a call fails names its quarantine, so causes stand before effects.
"""

from __future__ import annotations

from datetime import datetime

from expectations.call_content import CONTENT_RULES
from expectations.checks import (
    AfterNow,
    AtLeast,
    Between,
    Matches,
    Never,
    NotKnownOtherwise,
    OneOf,
    Present,
    Unique,
)
from expectations.contracts import DATA_SET_FORMAT, LANDING
from expectations.rules import Rule, RuleSet, When

#: no model takes or gives more in one call; a larger count is a unit error or an overflow
MAX_TOKENS = 10_000_000
#: batch interfaces answer within a day or two; a week is not a latency
MAX_LATENCY_S = 7 * 86_400.0
#: no chat model was in production before; an older time is an unset or misread clock
FIRST_CALL = datetime.fromisoformat("2015-01-01 00:00:00")

_OK = (When("status", "ok"),)
#: a conversation of a data set may tell neither model nor time nor outcome
_OF_PRODUCTION = (When("format", DATA_SET_FORMAT, equal=False),)


def calls_rules(max_clock_skew_s: float) -> RuleSet:
    """Rules over `landing`. The clock itself comes with the batch, so the version is stable."""
    rules = (
        _IDENTITY
        + CONTENT_RULES
        + _times(max_clock_skew_s)
        + _TOKENS
        + _DURATIONS
        + _OUTCOME
        + _COMPLETENESS
    )
    return RuleSet("calls", LANDING, rules)


_IDENTITY = (
    Rule(
        "has_request_id",
        "critical",
        Present("request_id"),
        "Every call has an id.",
        "Feedback, duplicates and lineage hang on it.",
    ),
    Rule(
        "unique_request_id",
        "critical",
        Unique("request_id"),
        "No two different calls of the batch share an id.",
        "Which of them is the true one cannot be known; exact repeats were dropped as duplicates.",
    ),
    Rule(
        "request_id_conflict",
        "critical",
        NotKnownOtherwise("request_id", "content_digest", known="requests"),
        "The id does not already belong to a stored call with other content.",
        "The stored call was used in evaluations; a second content under its id would rewrite it.",
    ),
    Rule(
        "has_model",
        "critical",
        Present("model"),
        "Every call names the model that answered.",
        "An answer of an unknown model is no evidence about any release.",
        when=_OF_PRODUCTION,
    ),
    Rule(
        "model_not_blank",
        "critical",
        Matches("model", r"\S"),
        "The name of the model is not blank.",
        "A blank name is a missing one.",
    ),
)


def _times(max_clock_skew_s: float) -> tuple[Rule, ...]:
    return (
        Rule(
            "started_at_not_in_future",
            "critical",
            Between("started_at", maximum=AfterNow(max_clock_skew_s)),
            "The call does not start in the future, give or take the allowed clock skew.",
            "A wrong clock puts the call on the wrong day of every trend and window.",
        ),
        Rule(
            "started_at_not_too_old",
            "critical",
            Between("started_at", minimum=FIRST_CALL),
            "The call starts after 2014.",
            "An earlier time is an unset clock or a misread unit (seconds for milliseconds).",
        ),
    )


def _token_count(column: str, bound: int = MAX_TOKENS) -> Rule:
    return Rule(
        f"{column}_possible",
        "critical",
        Between(column, 0, bound),
        f"The number of {column.replace('_', ' ')} is between 0 and {bound:,}.",
        "One impossible count falsifies every sum over tokens and cost.",
    )


_TOKENS = (
    _token_count("input_tokens"),
    _token_count("output_tokens"),
    _token_count("total_tokens", 2 * MAX_TOKENS),
    _token_count("cached_tokens"),
    _token_count("reasoning_tokens"),
    Rule(
        "total_tokens_add_up",
        "critical",
        Never(
            ("total_tokens", "input_tokens", "output_tokens"),
            # HUGEINT: the sum of two hostile 64-bit counts must not stop the query
            'CAST("total_tokens" AS HUGEINT) - CAST("input_tokens" AS HUGEINT) '
            '- CAST("output_tokens" AS HUGEINT) NOT IN (0, coalesce("reasoning_tokens", 0), '
            'coalesce("cached_tokens", 0), CAST(coalesce("reasoning_tokens", 0) AS HUGEINT) '
            '+ CAST(coalesce("cached_tokens", 0) AS HUGEINT))',
        ),
        "Total tokens are input plus output, where all three are given.",
        "Some providers count reasoning or cached tokens beside rather than inside; both are let "
        "pass. Any other sum means one of the counts is wrong.",
    ),
    Rule(
        "cached_within_input",
        "critical",
        AtLeast("input_tokens", "cached_tokens"),
        "Cached tokens are part of the input tokens.",
        "More hits than tokens means one of the counts is wrong.",
    ),
    Rule(
        "reasoning_within_output",
        "critical",
        AtLeast("output_tokens", "reasoning_tokens"),
        "Reasoning tokens are part of the output tokens.",
        "More reasoning than output means one of the counts is wrong.",
    ),
)

_DURATIONS = (
    Rule(
        "latency_possible",
        "critical",
        Between("latency_s", 0, MAX_LATENCY_S),
        "The call takes between nothing and a week.",
        "A negative or endless duration comes from two clocks or a wrong unit.",
    ),
    Rule(
        "ttft_possible",
        "critical",
        Between("ttft_s", 0, MAX_LATENCY_S),
        "The first token comes between at once and a week later.",
        "As for the latency.",
    ),
    Rule(
        "ttft_within_latency",
        "warning",
        AtLeast("latency_s", "ttft_s"),
        "The first token does not come after the call has ended.",
        "Gateways round the two differently, so this only warns.",
    ),
)

_OUTCOME = (
    Rule(
        "known_status",
        "critical",
        OneOf("status", ("ok", "error")),
        "The status is ok or error.",
        "Failures are mined first; a third state would be neither.",
    ),
    Rule(
        "error_has_type",
        "warning",
        Present("error_type"),
        "A failed call says what kind of error it was.",
        "Failures are grouped by it; without one the call still replays.",
        when=(When("status", "error"),),
    ),
    Rule(
        "ok_has_finish_reason",
        "warning",
        Present("finish_reason"),
        "A call that went well says why it ended.",
        "An answer cut off by the limit cannot be told from a whole one.",
        when=_OK,
    ),
    Rule(
        "text_has_output_tokens",
        "warning",
        Between("output_tokens", 1, None),
        "An answer that ended by itself has at least one output token.",
        "Counters that were never filled read 0.",
        when=(*_OK, When("finish_reason", "stop")),
    ),
    Rule(
        "http_status_possible",
        "warning",
        Between("http_status", 100, 599),
        "The HTTP status is one that exists.",
        "Gateways write 0 for a client that went away.",
    ),
    Rule(
        "ok_has_no_http_error",
        "warning",
        Between("http_status", None, 399),
        "A call that went well has no HTTP error.",
        "One of the two is wrong; the answer decides, which is there.",
        when=_OK,
    ),
)

_COMPLETENESS = (
    Rule(
        "has_started_at",
        "warning",
        Present("started_at"),
        "Every call says when it began.",
        "Files of spans may carry no times: such calls replay, but belong to no day.",
        when=_OF_PRODUCTION,
    ),
    Rule(
        "has_status",
        "warning",
        Present("status"),
        "Every call says whether it went well.",
        "Without it the call is taken for ordinary traffic.",
        when=_OF_PRODUCTION,
    ),
    Rule(
        "retries_possible",
        "warning",
        Between("retries", 0, 1_000),
        "The number of retries is between 0 and 1,000.",
        "Nothing is computed from it yet.",
    ),
    Rule(
        "cost_possible",
        "warning",
        Between("cost_usd", 0, 10_000),
        "The price of a call is between 0 and 10,000 dollars.",
        "Prices are shown, not decided upon.",
    ),
)
