"""The rules on eval sets: what a sample must hold to be asked and judged.

Critical where it cannot be asked, or where no answer could be told right from wrong: a mined sample
is left out, a hand-written one stops the run, since nobody would miss it. All else warns.
"""

from __future__ import annotations

from expectations.batches import garbled
from expectations.checks import Agree, Between, Matches, Never, OneOf
from expectations.contracts import SAMPLES
from expectations.rules import Rule, RuleSet

#: a shorter target, such as a label, may well stand among the choices of the question
MIN_LEAKED_CHARS = 20
_KINDS = ("gold", "corrected", "accepted", "recorded", "logged")


def samples_rules(max_garbled_ratio: float = 1.0) -> RuleSet:
    """Rules over the samples of one eval set; a limit of 1 makes no rule on garbled text."""
    whole = Rule(
        "whole_samples",
        "batch",
        Never(("messages", "target"), garbled("messages", "target")),
        "Samples hold no replacement characters and no UTF-8 read as another encoding.",
        "A release would be judged by how it copes with broken text.",
        max_ratio=max_garbled_ratio,
    )
    batch = (whole,) if max_garbled_ratio < 1 else ()
    return RuleSet("samples", SAMPLES, (*_CRITICAL, *_WARNINGS, *batch))


_CRITICAL = (
    Rule(
        "sample_asks",
        "critical",
        Never(
            ("messages",),
            "coalesce(json_type(\"messages\"), '-') <> 'ARRAY' "
            'OR coalesce(json_array_length("messages"), 0) = 0 '
            "OR len(list_filter(json_extract_string(\"messages\", '$[*].role'), "
            'lambda r : r IS NOT NULL)) <> json_array_length("messages")',
        ),
        "A sample is a list of messages, each with a role.",
        "A chat template can render nothing else.",
    ),
    Rule(
        "sample_has_target",
        "critical",
        Matches("target", r"\S"),
        "A sample has a target that is not blank.",
        "No answer meets a blank one: it would count as a failure of both releases.",
    ),
    Rule(
        "known_target_kind",
        "critical",
        OneOf("target_kind", _KINDS),
        f"The target is {', '.join(_KINDS[:-1])} or {_KINDS[-1]}.",
        "What a result may be used for hangs on it.",
    ),
    Rule(
        "known_origin",
        "critical",
        OneOf("origin", ("suite", "failure", "traffic", "pin")),
        "A sample comes from a suite, a failure, traffic or a pin.",
        "Mined failures are counted apart; another origin would be neither.",
    ),
    Rule(
        "weight_possible",
        "critical",
        Between("weight", 0, 1_000_000),
        "The weight is a number that is not negative.",
        "A negative or endless weight turns a mean into nonsense.",
    ),
    Rule(
        "slices_are_an_object",
        "critical",
        Never(("slices",), "coalesce(json_type(\"slices\"), '-') <> 'OBJECT'"),
        "Slices are names with values.",
        "The breakdown reads them.",
    ),
)

_WARNINGS = (
    Rule(
        "one_target_a_question",
        "warning",
        Agree(("suite", "task", "system", "messages"), "target"),
        "One question of a suite has one target.",
        "Whichever answer is given, one of the two counts as wrong.",
    ),
    Rule(
        "target_not_in_question",
        "warning",
        Never(
            ("target",),
            f'length("target") >= {MIN_LEAKED_CHARS} '
            'AND contains(json_extract_string("messages", \'$[#-1].content\'), "target")',
        ),
        "A long target does not stand word for word in the question.",
        "Copying would count as knowing; fine where the task is to extract.",
    ),
)
