"""The verdict: from the pairs of every suite to better, no_worse, worse, cannot_tell or blocked.

By non-inferiority, never by "p > 0.05": a suite is
    no_worse     when the whole interval of the difference lies above -margin
    better       when besides it is certain to win, on a suite with role primary
    worse        when it is not no_worse and is certain to lose
    cannot_tell  otherwise; that is not a pass
Shipping is an intersection-union test: every gating suite and every guarded slice must be no_worse,
each at the gate's full error rate, and a release that should be stopped is stopped by the one suite
it loses on. So must every guardrail (guardrails.py). To say worse of any suite or guardrail, or
better of any suite, is to pick among many: each is a family of its own that shares the error rate
(Holm). What nobody knows, answers lost by the judge or the harness, must not matter: the verdict
holds whatever they were, or it is cannot_tell. No margin below the noise floor can be passed
(noise.py beside this). A sample that must pass and fails is `blocked`. Pure; knows no store and no
settings.
Sources: Piaggio et al., "Reporting of noninferiority and equivalence randomized trials" (CONSORT
extension, 2012); Berger, "Multiparameter hypothesis testing and acceptance sampling" (1982) for the
intersection-union test; Holm (1979); Manski, "Partial identification" (2003) for the extremes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from tasks.evidence.arrays import Evidence, evidence_of
from tasks.evidence.must_pass import must_pass
from tasks.gate.guardrails import guardrail_result, usage_of
from tasks.gate.noise import is_within_noise, slices_beyond_noise
from tasks.gate.slices import slice_results
from tasks.model.answer import ROLES, JudgedSample, Role
from tasks.model.comparison import Comparison, Interval
from tasks.model.guardrail import GuardrailResult, GuardrailRule
from tasks.model.noise import KnownNoise, SuiteNoise
from tasks.model.verdict import (
    Decision,
    GateRule,
    MustPass,
    Power,
    ReleaseScore,
    SliceResult,
    Standing,
    SuiteResult,
    SuiteRole,
    SuiteRule,
    Tally,
    Verdict,
)
from tasks.statistics.families import holm
from tasks.statistics.planning import design_of, pass_probability, samples_for

_WANTED_POWER = 0.8


def decide(
    judged: Sequence[JudgedSample],
    rules: Sequence[SuiteRule],
    gate: GateRule,
    *,
    is_same_release: bool,
    standing: Mapping[str, Standing] = {},
    guardrails: Sequence[GuardrailRule] = (),
    look: int = 1,
    noise: KnownNoise | None = None,
    besides: Mapping[str, Interval] = {},
) -> Decision:
    """Judge every declared suite, those without samples too, then the whole.

    `standing`: suite → what all looks at this pair have come to, this one with them; a suite that
    has none is judged by this look alone. `look`: the number of this look at the pair, by which
    slices and guardrails are judged. `noise`: what is known of the champion against itself.
    `besides`: suite → another interval of its difference, which must lie above the margin too.
    Raises ValueError for a sample whose suite has no rule or that has no cluster id, and for a
    score outside 0 to 1.
    """
    by_suite: dict[str, list[JudgedSample]] = {rule.name: [] for rule in rules}
    for item in judged:
        sample = item.sample
        if sample.suite not in by_suite:
            raise ValueError(
                f"sample {sample.sample_id} is in an undeclared suite {sample.suite!r}"
            )
        if not sample.is_pinned:
            by_suite[sample.suite].append(item)
    whole = {name: evidence_of(items) for name, items in by_suite.items()}
    evidence = {name: part.part(np.flatnonzero(part.is_counted)) for name, part in whole.items()}
    lost: dict[Hashable, tuple[float, float]] = {
        name: standing[name].p_of_loss
        if name in standing
        else (part.p_value_of_loss(0.0, gate.unseen_loss), 1.0)
        for name, part in evidence.items()
    }
    won: dict[Hashable, tuple[float, float]] = {
        name: standing[name].p_of_gain
        if name in standing
        else (part.p_value_of_gain(0.0, gate.unseen_loss), 1.0)
        for name, part in evidence.items()
    }
    usage = {_key(rule): usage_of(by_suite, rules, rule) for rule in guardrails}
    # a suite's look by interval has another part of the error rate than this look has
    scale = gate.look_alpha / gate.alpha_of_look(look)
    lost |= {key: (scale * used.p_value_of_more, 1.0) for key, used in usage.items()}
    may_lose = [*(rule.name for rule in rules if rule.is_gating), *usage]
    losing = _certain(lost, may_lose, gate)
    winning = _certain(won, [rule.name for rule in rules if rule.role == "primary"], gate)
    noises = {} if noise is None else noise.applying_to(_scorers(by_suite, rules), _repeats(judged))
    suites = tuple(
        _suite_result(
            by_suite[rule.name],
            whole[rule.name],
            evidence[rule.name],
            rule,
            gate,
            standing.get(rule.name),
            noises.get(rule.name),
            besides.get(rule.name),
            is_lost=rule.name in losing,
            is_won=rule.name in winning,
        )
        for rule in rules
    )
    slices = slices_beyond_noise(slice_results(by_suite, whole, rules, gate, look), noises)
    guarded = tuple(
        guardrail_result(usage[_key(rule)], rule, gate, look, is_more=_key(rule) in losing)
        for rule in guardrails
    )
    demanded = must_pass(judged, gate)
    verdict = _overall(suites, slices, demanded, guarded)
    pooled = _pooled(by_suite, rules, gate)
    return Decision(
        verdict, suites, slices, demanded, is_same_release, pooled, guarded, look, noise
    )


def _key(rule: GuardrailRule) -> tuple[str, str]:
    """Among suites, which have names alone: a guardrail may be called as one of them."""
    return "guardrail", rule.name


def _pooled(
    by_suite: Mapping[str, Sequence[JudgedSample]], rules: Sequence[SuiteRule], gate: GateRule
) -> Comparison | None:
    """A loss that is small in every suite and the same in all of them shows here long before
    (arXiv 2602.10144). A conversation may have samples in several suites: it is one cluster."""
    parts = [by_suite[rule.name] for rule in rules if rule.is_gating]
    counted = [[item for item in part if item.sample.is_counted] for part in parts]
    if sum(map(bool, counted)) < 2:
        return None
    together = evidence_of([item for part in counted for item in part])
    return together.comparison(gate.look_alpha, gate.unseen_loss)


def interval_verdict(
    interval: Interval, margin: float, role: SuiteRole, *, is_won: bool, is_lost: bool
) -> Verdict:
    """What one interval of (challenger - champion) supports, where it is known whether a win or a
    loss of any size is certain."""
    if interval.low > -margin:
        return "better" if role == "primary" and is_won else "no_worse"
    return "worse" if is_lost else "cannot_tell"


def _overall(
    suites: Sequence[SuiteResult],
    slices: Sequence[SliceResult],
    demanded: MustPass,
    guardrails: Sequence[GuardrailResult],
) -> Verdict:
    gating = [suite for suite in suites if suite.rule.is_gating]
    holding = [part for part in slices if part.holds]
    verdicts = {*(suite.verdict for suite in gating), *(part.verdict for part in guardrails)}
    if "worse" in verdicts or any(part.is_alarm for part in holding):
        return "worse"
    if demanded.failed:
        return "blocked"
    if not gating or any(suite.verdict == "cannot_tell" for suite in gating):
        return "cannot_tell"
    if holding or demanded.unknown or any(part.holds for part in guardrails):
        return "cannot_tell"
    return "better" if any(suite.verdict == "better" for suite in gating) else "no_worse"


def _certain(
    p_values: Mapping[Hashable, tuple[float, float]], family: Sequence[Hashable], gate: GateRule
) -> frozenset[Hashable]:
    """Those of which a p value is small enough: that of the look by interval or that of the
    bets, each by its part of the error rate; in the family by Holm's rule, outside it alone."""
    certain: set[Hashable] = set()
    for kind, alpha in enumerate((gate.look_alpha, gate.alpha * gate.early)):
        alone = {name: both[kind] for name, both in p_values.items()}
        adjusted = alone | dict(zip(family, holm([alone[n] for n in family]), strict=True))
        # one side of a two-sided error rate
        certain |= {name for name, p in adjusted.items() if p <= alpha / 2}
    return frozenset(certain)


def _suite_result(
    judged: Sequence[JudgedSample],
    whole: Evidence,
    evidence: Evidence,
    rule: SuiteRule,
    gate: GateRule,
    standing: Standing | None,
    noise: SuiteNoise | None,
    besides: Interval | None,
    *,
    is_won: bool,
    is_lost: bool,
) -> SuiteResult:
    shown = whole.part(np.flatnonzero(~whole.is_counted))
    counted = [item for item in judged if item.sample.is_counted]
    alpha = gate.look_alpha
    comparison = evidence.comparison(alpha, gate.unseen_loss)
    releases = {
        role: ReleaseScore(
            mean=evidence.mean(role),
            interval=evidence.interval(role, alpha),
            tally=tally(counted, role),
            on_shown=shown.mean(role),
        )
        for role in ROLES
    }
    too_many_missing = (
        max(release.tally.unknown_ratio for release in releases.values()) > gate.max_missing_ratio
    )
    verdict: Verdict = "cannot_tell"
    interval = None if comparison is None else comparison.interval
    num_samples = evidence.num_samples
    if standing is not None:
        interval, num_samples = standing.interval, standing.num_samples
    floor = None if noise is None else noise.floor_at(num_samples)
    if interval is not None and interval.low <= interval.high:
        verdict = interval_verdict(interval, rule.margin, rule.role, is_won=is_won, is_lost=is_lost)
        if verdict != "worse" and (
            too_many_missing
            or is_within_noise(interval, rule.margin, floor)
            or (besides is not None and besides.low <= -rule.margin)
        ):
            verdict = "cannot_tell"
    pairs = evidence.at_worst
    is_binary = evidence.is_binary and bool(evidence.is_known.all())
    return SuiteResult(
        rule=rule,
        scorer=_scorer(judged, rule.metric),
        verdict=verdict,
        level=alpha,
        num_samples=evidence.num_samples,
        num_clusters=evidence.num_clusters,
        num_shown=shown.num_samples,
        releases=releases,
        comparison=comparison,
        power=None if comparison is None else _power(evidence, rule, gate),
        num_won=pairs.num_won if is_binary else None,
        num_lost=pairs.num_lost if is_binary else None,
        num_tipping=evidence.num_tipping(rule.margin, alpha, gate.unseen_loss),
        too_many_missing=too_many_missing,
        standing=standing,
        noise_floor=floor,
    )


def _power(evidence: Evidence, rule: SuiteRule, gate: GateRule) -> Power:
    design = design_of(evidence.at_worst)
    asked = (rule.margin, gate.look_alpha, gate.unseen_loss)
    return Power(pass_probability(design, *asked), samples_for(design, *asked, _WANTED_POWER))


def _scorers(
    by_suite: Mapping[str, Sequence[JudgedSample]], rules: Sequence[SuiteRule]
) -> dict[str, str]:
    return {rule.name: _scorer(by_suite[rule.name], rule.metric) for rule in rules}


def _repeats(judged: Sequence[JudgedSample]) -> int:
    return max((len(item.answers["champion"]) for item in judged), default=0)


def _scorer(judged: Sequence[JudgedSample], metric: str) -> str:
    """The suite's scorer in the version that was counted; all answers have the same."""
    answers = (answer for item in judged for repeats in item.answers.values() for answer in repeats)
    return next((a.scorer for a in answers if a.value is not None and a.scorer), metric)


def tally(judged: Sequence[JudgedSample], role: Role) -> Tally:
    """Every answer in one of its denominators."""
    answers = [answer for item in judged for answer in item.answers[role]]
    num_scored = sum(answer.value is not None for answer in answers)
    num_failed = sum(answer.is_failed for answer in answers)
    num_missing = sum(answer.is_missing and answer.counted is None for answer in answers)
    num_unscored = len(answers) - num_scored - num_failed - num_missing
    return Tally(num_scored, num_failed, num_missing, num_unscored)
