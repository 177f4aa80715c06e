"""The verdict in sentences a stranger understands, each number with its denominator. Pure."""

from __future__ import annotations

from tasks.model.answer import JudgedSample
from tasks.model.comparison import Comparison
from tasks.model.verdict import Decision, SuiteResult
from tasks.report.wording import decimal

_MAX_NAMED = 5


def reasons(decision: Decision, max_missing_ratio: float) -> tuple[str, ...]:
    """Why the verdict is what it is: the decisive sentence first, then suite by suite."""
    sentences = [_headline(decision)]
    if decision.is_same_release:
        sentences.append("Champion and challenger are the same release: nothing can have changed.")
    if decision.failed_must_pass:
        sentences.append(_must_pass(decision.failed_must_pass))
    for suite in decision.suites:
        sentences.append(_suite(suite))
        sentences += _known_failures(suite)
        sentences += _lacking(suite, max_missing_ratio)
    return tuple(sentences)


def _headline(decision: Decision) -> str:
    gating = [suite for suite in decision.suites if suite.rule.is_gating]
    if decision.failed_must_pass:
        verdict = decision.verdict
        return (
            f"{verdict}: {_count(len(decision.failed_must_pass), 'sample')} that must pass failed."
        )
    if not gating:
        return (
            "cannot_tell: no suite gates (every suite has role report), so nothing can be decided."
        )
    named = _names([s for s in gating if s.verdict == decision.verdict])
    if decision.verdict == "worse":
        return f"worse: the challenger loses on {named}."
    if decision.verdict == "cannot_tell":
        return f"cannot_tell: {named} cannot tell a loss beyond the margin from none."
    if decision.verdict == "better":
        return f"better: the challenger wins on {named}, and loses beyond the margin on none."
    return f"no_worse: on {_names(gating)} any loss is smaller than the margin."


def _suite(suite: SuiteResult) -> str:
    rule = suite.rule
    verdict = (
        f"{suite.verdict} (role report: does not gate)" if not rule.is_gating else suite.verdict
    )
    if suite.num_samples == 0:
        besides = " but known failures" if suite.num_known_failures else ""
        return f"suite {rule.name}: no samples{besides}, so nothing can be said: {verdict}."
    clusters = _count(suite.num_clusters, "independent cluster")
    size = f"{_count(suite.num_samples, 'sample')} ({clusters})"
    champion, challenger = suite.releases["champion"].mean, suite.releases["challenger"].mean
    scores = f"suite {rule.name}, {rule.metric}: challenger {decimal(challenger)} against champion "
    scores += f"{decimal(champion)} on {size}"
    comparison = suite.comparison
    if comparison is None:
        return f"{scores}: an interval needs at least two clusters: {verdict}."
    sight = f"Smallest difference this set can see: {comparison.min_detectable_effect:.3f}."
    if suite.verdict == "cannot_tell" and not suite.too_many_missing:
        sight += " More samples, or a wider margin, would tell."
    return f"{scores}: {_numbers(comparison, suite)}: {verdict}. {sight}"


def _known_failures(suite: SuiteResult) -> list[str]:
    if not suite.num_known_failures:
        return []
    champion, challenger = (
        suite.releases[role].on_known_failures for role in ("champion", "challenger")
    )
    return [
        f"suite {suite.rule.name}: on {_count(suite.num_known_failures, 'known failure')} of "
        f"production the challenger scores {decimal(challenger)}, the champion "
        f"{decimal(champion)}. They were picked for failing, so they do not gate."
    ]


def _numbers(comparison: Comparison, suite: SuiteResult) -> str:
    interval = comparison.interval
    low, high = (decimal(end, signed=True) for end in (interval.low, interval.high))
    text = (
        f"{decimal(comparison.difference, signed=True)}, {100 * (1 - suite.level):.4g}% interval "
        f"{low} to {high}, margin {suite.rule.margin:g}"
    )
    if suite.num_won is not None:
        text += f", {suite.num_won} won and {suite.num_lost} lost"
    return text


def _lacking(suite: SuiteResult, max_missing_ratio: float) -> list[str]:
    sentences = []
    for role, effect in (
        ("challenger", "each counts 0"),
        ("champion", "none of these pairs counts for the challenger"),
    ):
        tally = suite.releases[role].tally
        if tally.num_missing or tally.num_unscored:
            sentences.append(
                f"suite {suite.rule.name}: of {_count(suite.num_samples, 'answer')} of the {role}, "
                f"{tally.num_missing} are missing and {tally.num_unscored} could not be scored; "
                f"{effect}."
            )
    if suite.too_many_missing:
        sentences.append(
            f"suite {suite.rule.name}: more than {max_missing_ratio:.0%} of the answers are "
            "missing or unscored, so the suite cannot pass."
        )
    return sentences


def _must_pass(failed: tuple[JudgedSample, ...]) -> str:
    named = [
        f"{item.sample.sample_id[:12]} of suite {item.sample.suite} "
        f"(champion {'passed' if item.score('champion') >= 1 else 'failed too'})"
        for item in failed[:_MAX_NAMED]
    ]
    more = len(failed) - len(named)
    return (
        "Must pass, and the challenger failed: "
        + ", ".join(named)
        + (f" and {more} more" if more else "")
        + ". This blocks whatever the averages say."
    )


def _names(suites: list[SuiteResult]) -> str:
    names = [suite.rule.name for suite in suites]
    return ("suite " if len(names) == 1 else "suites ") + ", ".join(names)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
