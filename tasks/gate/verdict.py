"""The verdict: from the pairs of every suite to better, no_worse, worse or cannot_tell.

By non-inferiority, never by "p > 0.05": a suite is
    no_worse     when the whole interval of the difference lies above -margin
    better       when besides it lies above 0, on a suite with role primary
    worse        when it is not no_worse and the whole interval lies below 0
    cannot_tell  otherwise; that is not a pass
Several gating suites share the error rate by Holm's rule. Known failures, samples mined because
production got them wrong, do not gate: whoever is in production loses on them by construction, so
even its equal would look better. They are counted apart. Pure; knows no store and no settings.
Sources: Piaggio et al., "Reporting of noninferiority and equivalence randomized trials" (CONSORT
extension, 2012); Holm (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.model.answer import ROLES, Answer, JudgedSample, Role
from tasks.model.comparison import Interval
from tasks.model.verdict import (
    Decision,
    GateRule,
    ReleaseScore,
    SliceResult,
    SuiteResult,
    SuiteRole,
    SuiteRule,
    Tally,
    Verdict,
)
from tasks.statistics.multiplicity import holm_levels
from tasks.statistics.paired import Pairs, compare, release_interval


@dataclass(frozen=True, slots=True)
class _Part:
    """The samples of one suite: those that gate, and the known failures."""

    gating: list[JudgedSample]
    known_failures: list[JudgedSample]


def decide(
    judged: Sequence[JudgedSample],
    rules: Sequence[SuiteRule],
    gate: GateRule,
    *,
    is_same_release: bool,
) -> Decision:
    """Judge every declared suite, those without samples too, then the whole.

    Raises ValueError for a sample whose suite has no rule or that has no cluster id.
    """
    parts = {rule.name: _Part([], []) for rule in rules}
    for item in judged:
        sample = item.sample
        if sample.suite not in parts:
            raise ValueError(
                f"sample {sample.sample_id} is in an undeclared suite {sample.suite!r}"
            )
        part = parts[sample.suite]
        (part.known_failures if sample.is_known_failure else part.gating).append(item)
    pairs = {name: pairs_of(part.gating) for name, part in parts.items()}
    levels = _levels(pairs, rules, gate.alpha)
    suites = tuple(
        _suite_result(
            parts[rule.name], pairs[rule.name], rule, levels[rule.name], gate.max_missing_ratio
        )
        for rule in rules
    )
    failed = tuple(
        sorted(
            (item for item in judged if item.sample.must_pass and item.score("challenger") < 1),
            key=lambda item: (item.sample.suite, item.sample.sample_id),
        )
    )
    return Decision(
        _overall(suites, bool(failed), is_same_release), suites, failed, is_same_release
    )


def suite_verdict(interval: Interval, margin: float, role: SuiteRole) -> Verdict:
    """The verdict one interval of (challenger - champion) supports."""
    if interval.low > -margin:
        return "better" if role == "primary" and interval.low > 0 else "no_worse"
    return "worse" if interval.high < 0 else "cannot_tell"


def _overall(suites: Sequence[SuiteResult], blocked: bool, is_same_release: bool) -> Verdict:
    gating = [suite for suite in suites if suite.rule.is_gating]
    if blocked:
        # a release cannot be worse than itself, but what must pass and fails does not ship
        return "cannot_tell" if is_same_release else "worse"
    if any(suite.verdict == "worse" for suite in gating):
        return "worse"
    if not gating or any(suite.verdict == "cannot_tell" for suite in gating):
        return "cannot_tell"
    return "better" if any(suite.verdict == "better" for suite in gating) else "no_worse"


def _levels(pairs: dict[str, Pairs], rules: Sequence[SuiteRule], alpha: float) -> dict[str, float]:
    """Error rate of each suite's interval: Holm over the gating suites, alpha for the others.

    A suite settles when its interval lies above -margin or below 0. Per suite only one of the two
    can be a mistake, on one side of the interval, so any mistake has a chance of at most alpha.
    """
    gating = [rule for rule in rules if rule.is_gating]

    def decides(index: int, level: float) -> bool:
        rule = gating[index]
        if not _can_compare(pairs[rule.name]):
            return False
        interval = compare(pairs[rule.name], level).interval
        return suite_verdict(interval, rule.margin, "guard") != "cannot_tell"

    levels = holm_levels(len(gating), alpha, decides)
    of_gating = {rule.name: level for rule, level in zip(gating, levels, strict=True)}
    return {rule.name: of_gating.get(rule.name, alpha) for rule in rules}


def _can_compare(pairs: Pairs) -> bool:
    return pairs.num_pairs >= 2 and pairs.num_clusters >= 2


def _suite_result(
    part: _Part, pairs: Pairs, rule: SuiteRule, level: float, max_missing_ratio: float
) -> SuiteResult:
    is_comparable = _can_compare(pairs)
    on_failures = pairs_of(part.known_failures)
    releases: dict[Role, ReleaseScore] = {}
    for role, scores, failed in (
        ("champion", pairs.first, on_failures.first),
        ("challenger", pairs.second, on_failures.second),
    ):
        releases[role] = ReleaseScore(
            mean=float(scores.mean()) if len(scores) else None,
            interval=release_interval(scores, pairs.clusters, level) if is_comparable else None,
            tally=tally([item.answers[role] for item in part.gating]),
            on_known_failures=float(failed.mean()) if len(failed) else None,
        )
    lacking = max(release.tally.lacking_ratio for release in releases.values())
    too_many_missing = lacking > max_missing_ratio
    comparison = compare(pairs, level) if is_comparable else None
    verdict: Verdict = "cannot_tell"
    if comparison is not None:
        verdict = suite_verdict(comparison.interval, rule.margin, rule.role)
        if too_many_missing and verdict != "worse":
            verdict = "cannot_tell"
    is_binary = bool(part.gating) and pairs.is_binary
    return SuiteResult(
        rule=rule,
        scorer=_scorer((*part.gating, *part.known_failures), rule.metric),
        verdict=verdict,
        level=level,
        num_samples=pairs.num_pairs,
        num_clusters=pairs.num_clusters,
        num_unscored=sum(_is_unscored(item) for item in part.gating),
        num_known_failures=len(part.known_failures),
        releases=releases,
        comparison=comparison,
        num_won=pairs.num_won if is_binary else None,
        num_lost=pairs.num_lost if is_binary else None,
        too_many_missing=too_many_missing,
    )


def _scorer(judged: Sequence[JudgedSample], metric: str) -> str:
    """The suite's scorer in the version that was counted; all answers have the same."""
    answers = (answer for item in judged for repeats in item.answers.values() for answer in repeats)
    return next((a.scorer for a in answers if a.value is not None and a.scorer), metric)


def _is_unscored(item: JudgedSample) -> bool:
    """Whether the scorer could not judge an answer that is there, of either release."""
    answers = (answer for role in ROLES for answer in item.answers[role])
    return any(answer.value is None and not answer.is_missing for answer in answers)


def tally(answers: Sequence[tuple[Answer, ...]]) -> Tally:
    """A sample is missing if any repeat is, else unscored if any repeat is."""
    num_missing = sum(any(answer.is_missing for answer in repeats) for repeats in answers)
    num_lacking = sum(any(answer.value is None for answer in repeats) for repeats in answers)
    return Tally(len(answers) - num_lacking, num_missing, num_lacking - num_missing)


def pairs_of(judged: Sequence[JudgedSample]) -> Pairs:
    """The samples as arrays. Raises ValueError on a sample without a cluster id: without it the
    samples would silently count as independent."""
    for item in judged:
        if not item.sample.cluster_id:
            raise ValueError(f"sample {item.sample.sample_id} has no cluster id")
    _, clusters = np.unique([item.sample.cluster_id for item in judged], return_inverse=True)
    return Pairs(
        first=np.array([item.score("champion") for item in judged], dtype=np.float64),
        second=np.array([item.score("challenger") for item in judged], dtype=np.float64),
        difference=np.array([item.difference() for item in judged], dtype=np.float64),
        clusters=np.asarray(clusters, dtype=np.int64).reshape(-1),
    )


def slice_results(judged: Sequence[JudgedSample], alpha: float) -> tuple[SliceResult, ...]:
    """The same comparison for every suite × slice × value, sorted by name: where a difference comes
    from. Descriptive, never gating: each interval stands alone at 1 - alpha, so among many slices
    some lie off by chance. Known failures count by their origin alone: picked for failing, they
    would tilt every other slice they lie in."""
    parts: dict[tuple[str, str, str], list[JudgedSample]] = {}
    for item in judged:
        sample = item.sample
        for name, value in sample.slices.items():
            if sample.is_known_failure and name != "origin":
                continue
            parts.setdefault((sample.suite, name, value), []).append(item)
    return tuple(_slice_result(key, parts[key], alpha) for key in sorted(parts))


def _slice_result(
    key: tuple[str, str, str], judged: Sequence[JudgedSample], alpha: float
) -> SliceResult:
    pairs = pairs_of(judged)
    interval = compare(pairs, alpha).interval if _can_compare(pairs) else None
    return SliceResult(
        *key,
        num_samples=pairs.num_pairs,
        num_clusters=pairs.num_clusters,
        champion=float(pairs.first.mean()),
        challenger=float(pairs.second.mean()),
        difference=float(pairs.difference.mean()),
        ci_low=None if interval is None else interval.low,
        ci_high=None if interval is None else interval.high,
    )
