"""What is probably wrong with a set-up, whatever the verdict: for the terminal, `--json`, notes and
every page. It informs, and gates nothing. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from tasks.model.answer import ROLES
from tasks.model.profile import AnswerProfile
from tasks.model.receipt import Receipt
from tasks.model.verdict import SuiteResult
from tasks.report.judges import informing_sentences
from tasks.report.wording import percent

_KINDS = (
    ("num_empty", "are empty"),
    ("num_cut", "were cut by max_tokens and are not right"),
    ("num_repeating", "end in one phrase over and over"),
)


def warnings(suites: Sequence[SuiteResult], profiles: Sequence[AnswerProfile]) -> tuple[str, ...]:
    """Sentences, suite by suite; none where nothing looks wrong. `profiles`: of a pair."""
    told = (text for suite in suites for text in _of_suite(suite, profiles))
    return (*informing_sentences(suites), *told)


def of_prompts(receipts: Iterable[Receipt]) -> tuple[str, ...]:
    """What the prompts of releases take the place of, as it was told when they were asked."""
    return tuple(
        text
        for receipt in receipts
        if receipt.stage == "evaluate"
        for text in receipt.notes.get("cautions", ())
    )


def _of_suite(suite: SuiteResult, profiles: Sequence[AnswerProfile]) -> Iterator[str]:
    name = suite.rule.name
    if suite.is_on_floor:
        champion, challenger = (percent(suite.releases[role].mean) for role in ROLES)
        yield (
            f"suite {name}: both releases fail nearly everywhere (champion {champion}, challenger "
            f"{challenger}), so prompt, scorer or max_tokens is probably wrong: "
            f"flywheel show --suite {shlex.quote(name)} --both-failed."
        )
    own = [profile for profile in profiles if profile.suite == name]
    told = []
    for kind, what in _KINDS:
        counts = [(profile, int(getattr(profile, kind))) for profile in own]
        if any(profile.is_told(number) for profile, number in counts):
            numbers = (f"{n:,} of {one.num_answers:,} of the {one.role}" for one, n in counts)
            told.append(f"{' and '.join(numbers)} {what}")
    if told:
        yield f"suite {name}: of the answers, {'; '.join(told)}."
