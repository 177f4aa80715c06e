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
from typing import Literal

from tasks.gate.answers import PairedSample, Tally, pairs_of, tally
from tasks.statistics.intervals import Interval, Values
from tasks.statistics.multiplicity import holm_levels
from tasks.statistics.paired import Comparison, Pairs, compare, release_interval

Verdict = Literal["better", "no_worse", "worse", "cannot_tell"]
Role = Literal["primary", "guard", "report"]


@dataclass(frozen=True, slots=True)
class SuiteRule:
    """What was declared about a suite before the numbers were known."""

    name: str
    role: Role
    margin: float
    metric: str
    owner: str = ""

    @property
    def is_gating(self) -> bool:
        return self.role != "report"


@dataclass(frozen=True, slots=True)
class GateRule:
    """What was declared about the gate."""

    alpha: float
    max_missing_ratio: float


@dataclass(frozen=True, slots=True)
class KnownFailures:
    """The mean scores on a suite's known failures; None where it has none."""

    num_samples: int
    champion: float | None
    challenger: float | None


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """One suite, judged. `comparison` and the intervals are None below two pairs or clusters."""

    rule: SuiteRule
    verdict: Verdict
    level: float
    num_samples: int
    num_clusters: int
    champion_tally: Tally
    challenger_tally: Tally
    num_unscored: int
    champion: float | None
    challenger: float | None
    champion_interval: Interval | None
    challenger_interval: Interval | None
    comparison: Comparison | None
    discordant: tuple[int, int] | None
    too_many_missing: bool
    known_failures: KnownFailures


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict of a run, with what it rests on."""

    verdict: Verdict
    suites: tuple[SuiteResult, ...]
    failed_must_pass: tuple[PairedSample, ...]
    is_same_release: bool


def decide(
    samples: Sequence[PairedSample],
    rules: Sequence[SuiteRule],
    gate: GateRule,
    *,
    is_same_release: bool,
) -> Decision:
    """Judge every declared suite, those without samples too, then the whole.

    Raises ValueError for a sample whose suite has no rule or that has no cluster id.
    """
    by_suite: dict[str, list[PairedSample]] = {rule.name: [] for rule in rules}
    failures: dict[str, list[PairedSample]] = {rule.name: [] for rule in rules}
    for sample in samples:
        if sample.suite not in by_suite:
            raise ValueError(
                f"sample {sample.sample_id} is in an undeclared suite {sample.suite!r}"
            )
        (failures if sample.is_known_failure else by_suite)[sample.suite].append(sample)
    levels = _levels(by_suite, rules, gate.alpha)
    suites = tuple(
        _judged(
            by_suite[rule.name],
            _known_failures(failures[rule.name]),
            rule,
            levels[rule.name],
            gate.max_missing_ratio,
        )
        for rule in rules
    )
    failed = tuple(
        sorted(
            (s for s in samples if s.must_pass and s.challenger_score < 1),
            key=lambda s: (s.suite, s.sample_id),
        )
    )
    return Decision(
        _overall(suites, bool(failed), is_same_release), suites, failed, is_same_release
    )


def suite_verdict(interval: Interval, margin: float, role: Role) -> Verdict:
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


def _levels(
    by_suite: dict[str, list[PairedSample]], rules: Sequence[SuiteRule], alpha: float
) -> dict[str, float]:
    """Error rate of each suite's interval: Holm over the gating suites, alpha for the others.

    A suite settles when its interval lies above -margin or below 0. Per suite only one of the two
    can be a mistake, on one side of the interval, so any mistake has a chance of at most alpha.
    """
    gating = [rule for rule in rules if rule.is_gating]
    pairs = [pairs_of(by_suite[rule.name]) for rule in gating]

    def decides(index: int, level: float) -> bool:
        if not _can_compare(pairs[index]):
            return False
        interval = compare(pairs[index], level).interval
        return suite_verdict(interval, gating[index].margin, "guard") != "cannot_tell"

    levels = holm_levels(len(gating), alpha, decides)
    found = {rule.name: level for rule, level in zip(gating, levels, strict=True)}
    return {rule.name: found.get(rule.name, alpha) for rule in rules}


def _can_compare(pairs: Pairs) -> bool:
    return pairs.num_pairs >= 2 and pairs.num_clusters >= 2


def _known_failures(samples: Sequence[PairedSample]) -> KnownFailures:
    if not samples:
        return KnownFailures(0, None, None)
    pairs = pairs_of(samples)
    return KnownFailures(len(samples), float(pairs.first.mean()), float(pairs.second.mean()))


def _judged(
    samples: Sequence[PairedSample],
    known_failures: KnownFailures,
    rule: SuiteRule,
    level: float,
    max_missing_ratio: float,
) -> SuiteResult:
    pairs = pairs_of(samples)
    champion = tally([sample.champion for sample in samples])
    challenger = tally([sample.challenger for sample in samples])
    too_many = max(champion.lacking_ratio, challenger.lacking_ratio) > max_missing_ratio
    comparison = compare(pairs, level) if _can_compare(pairs) else None
    verdict: Verdict = "cannot_tell"
    if comparison is not None:
        verdict = suite_verdict(comparison.interval, rule.margin, rule.role)
        if too_many and verdict != "worse":
            verdict = "cannot_tell"
    return SuiteResult(
        rule=rule,
        verdict=verdict,
        level=level,
        num_samples=pairs.num_pairs,
        num_clusters=pairs.num_clusters,
        champion_tally=champion,
        challenger_tally=challenger,
        num_unscored=sum(_is_unscored(sample) for sample in samples),
        champion=float(pairs.first.mean()) if samples else None,
        challenger=float(pairs.second.mean()) if samples else None,
        champion_interval=_release_interval(pairs, pairs.first, level),
        challenger_interval=_release_interval(pairs, pairs.second, level),
        comparison=comparison,
        discordant=(pairs.num_won, pairs.num_lost) if samples and pairs.is_binary else None,
        too_many_missing=too_many,
        known_failures=known_failures,
    )


def _release_interval(pairs: Pairs, scores: Values, level: float) -> Interval | None:
    return release_interval(scores, pairs.clusters, level) if _can_compare(pairs) else None


def _is_unscored(sample: PairedSample) -> bool:
    """Whether the scorer could not judge an answer that is there, of either release."""
    answers = (*sample.champion, *sample.challenger)
    return any(answer.value is None and not answer.is_missing for answer in answers)
