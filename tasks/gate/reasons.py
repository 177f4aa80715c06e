"""The verdict in sentences a stranger understands, each number with its denominator. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.model.answer import ROLES, JudgedSample
from tasks.model.comparison import Comparison
from tasks.model.guardrail import GuardrailResult
from tasks.model.profile import AnswerProfile
from tasks.model.verdict import Decision, GateRule, MustPass, SliceResult, SuiteResult
from tasks.report.also import also_told
from tasks.report.judges import judge_sentences
from tasks.report.noise import noise_sentences
from tasks.report.warnings import warnings
from tasks.report.wording import (
    margin,
    measured,
    percent,
    points,
    relative,
    relative_interval,
    unsigned_points,
)

_MAX_NAMED = 5
#: weights cost a set so much of its samples before they are spoken of
_NOTABLE_LOSS = 0.9

#: why a run stopped, in words
_STOPPED = {
    "ship": "with the evidence so far it passes",
    "worse": "with the evidence so far it loses for certain",
    "blocked": "a sample that must pass has failed",
    "futile": "it could hardly pass any more",
}


def reasons(
    decision: Decision,
    gate: GateRule,
    changes: Sequence[str] = (),
    num_challengers: int = 1,
    stopped: Mapping[str, Any] | None = None,
    profiles: Sequence[AnswerProfile] = (),
    departures: Sequence[str] = (),
    *,
    tells_noise: bool = True,
) -> tuple[str, ...]:
    """Why the verdict is what it is: the decisive sentence first, then what must
    pass, then suite by suite. `changes`:
    what is decided by and was planned otherwise. `num_challengers`: that share the error rate.
    `stopped`: evaluate's note where it did not ask all samples, and `why` for this challenger.
    `profiles`: what the answers of the two releases are like. `departures`: sentences on sessions.
    `tells_noise`: whether a noise floor could be known."""
    sentences = [
        _headline(decision),
        *_must_pass(decision.must_pass),
        *departures,
        *warnings(decision.suites, profiles),
    ]
    if stopped:
        sentences.append(
            f"Stopped after {stopped['num_samples']} of {stopped['num_samples_in_all']} samples, "
            f"asked in random order: {_STOPPED[stopped['why']]}. "
            f"{_count(stopped['num_answers_saved'], 'answer')} needed not be computed."
        )
    if num_challengers > 1:
        sentences.append(
            f"{num_challengers} challengers share the error rate: each is judged "
            f"at {gate.alpha:.3g}."
        )
    if changes:
        sentences.append(
            "It is decided by other rules than were planned, before the answers were known: "
            + "; ".join(changes)
            + "."
        )
    if decision.is_same_release:
        sentences.append("Champion and challenger are the same release: nothing can have changed.")
    num_slices = sum(part.role != "report" for part in decision.slices)
    alpha = gate.alpha_of_look(decision.look)
    sentences += [_slice(part, num_slices, alpha) for part in decision.slices if part.holds]
    sentences += [_guardrail(part, gate) for part in decision.guardrails]
    sentences += _look(decision, gate)
    sentences += _pooled(decision)
    for suite in decision.suites:
        sentences.append(_suite(suite))
        sentences += _standing(suite)
        sentences += _shown(suite, is_stopped=bool(stopped))
        sentences += _lacking(suite, gate)
        sentences += (f"besides, deciding nothing: suite {text}." for text in also_told([suite]))
        sentences += judge_sentences(suite)
    if tells_noise:
        sentences += noise_sentences(decision.noise, decision.suites)
    return tuple(sentences)


def _headline(decision: Decision) -> str:
    gating = [suite for suite in decision.suites if suite.rule.is_gating]
    alarms = [part for part in decision.slices if part.is_alarm]
    demanded = decision.must_pass
    if decision.verdict == "worse":
        lost = [suite for suite in gating if suite.verdict == "worse"]
        named = [_names(lost)] if lost else []
        named += _slices(alarms[:_MAX_NAMED])
        used = [part.rule.name for part in decision.guardrails if part.verdict == "worse"]
        if used:
            named.append(_named("guardrail", used[:_MAX_NAMED]))
        return f"worse: the challenger loses on {', and on '.join(named)}."
    if decision.verdict == "blocked":
        told = [f"{len(demanded.new)} new"] if demanded.new else []
        told += [f"{len(demanded.old)} that the champion fails too"] if demanded.old else []
        failed = _count(len(demanded.failed), "sample")
        return f"blocked: {failed} that must pass failed, {' and '.join(told)}."
    if decision.verdict == "better":
        won = _names([suite for suite in gating if suite.verdict == "better"])
        return f"better: the challenger wins on {won}, and loses beyond the margin on none."
    if decision.verdict == "no_worse":
        return f"no_worse: on {_names(gating)} any loss is smaller than the margin."
    return f"cannot_tell: {_undecided(decision, gating)}."


def _undecided(decision: Decision, gating: Sequence[SuiteResult]) -> str:
    if not gating:
        return "no suite gates (every suite has role report), so nothing can be decided"
    held = [suite for suite in gating if suite.verdict == "cannot_tell"]
    lacking = [suite for suite in held if suite.too_many_missing or suite.num_tipping is not None]
    early = [suite for suite in held if _is_early(suite) and suite not in lacking]
    others = [suite for suite in held if suite not in lacking and suite not in early]
    noisy = [suite for suite in others if suite.is_below_noise]
    others = [suite for suite in others if suite not in noisy]
    causes = []
    if early:
        causes.append(f"on {_names(early)} it is too early to tell, before the planned look")
    if others:
        causes.append(f"on {_names(others)} a loss beyond the margin is neither shown nor excluded")
    if noisy:
        causes.append(f"on {_names(noisy)} the margin is below the noise floor")
    if lacking:
        causes.append(f"on {_names(lacking)} it depends on answers that judge or harness lost")
    causes += [
        f"guardrail {part.rule.name} is not known to keep its margin"
        for part in decision.guardrails
        if part.holds
    ]
    guarded = [part for part in decision.slices if part.holds]
    if guarded:
        causes.append(f"{_slice_name(guarded[0])} is guarded and may lose more than its margin")
    if decision.must_pass.unknown:
        number = _count(len(decision.must_pass.unknown), "answer")
        causes.append(f"{number} to what must pass got lost, through no fault of the challenger")
    return "; ".join(causes)


def _pooled(decision: Decision) -> list[str]:
    """A loss too small for any one suite that is certain over all of them."""
    pooled = decision.pooled
    if pooled is None:
        return []
    low, high = (points(end) for end in (pooled.interval.low, pooled.interval.high))
    text = (
        f"All gating suites together: {points(pooled.difference)} points, "
        f"{low} to {high}; this does not gate."
    )
    lost = any(suite.verdict == "worse" for suite in decision.suites)
    if pooled.interval.high < 0 and not lost:
        text = f"{text[:-1]}, but over all of them together a loss is certain."
    return [text]


def _suite(suite: SuiteResult) -> str:
    rule, verdict = suite.rule, str(suite.verdict)
    if not rule.is_gating:
        verdict += " (role report: does not gate)"
    elif verdict == "no_worse" and rule.role == "guard" and suite.interval is not None:
        verdict += " (a guard cannot win)" if suite.interval.low > 0 else ""
    if suite.num_samples == 0:
        besides = " that count" if suite.num_shown else ""
        return f"suite {rule.name}: no samples{besides}, so nothing can be said: {verdict}."
    size = f"{_count(suite.num_samples, 'sample')} ({_clusters(suite)})"
    champion, challenger = (suite.releases[role].mean for role in ROLES)
    scores = f"suite {rule.name}, {rule.metric}: challenger {percent(challenger)} against champion "
    scores += f"{percent(champion)} on {size}"
    comparison = suite.comparison
    if comparison is None:
        return f"{scores}: an interval needs at least two clusters: {verdict}."
    return f"{scores}: {_numbers(comparison, suite)}: {verdict}.{_power(suite)}"


def _clusters(suite: SuiteResult) -> str:
    text = _count(suite.num_clusters, "independent cluster")
    if suite.comparison is not None:
        worth = suite.comparison.effective_samples
        if worth < _NOTABLE_LOSS * suite.num_clusters:
            text += f", worth {worth:.0f} of equal weight"
    return text


def _numbers(comparison: Comparison, suite: SuiteResult) -> str:
    interval, allowed = comparison.interval, suite.rule.margin
    low, high = (points(end) for end in (interval.low, interval.high))
    text = (
        f"{points(comparison.difference)} points"
        f"{' on the pairs that are known' if suite.num_unknown else ''}, "
        f"{100 * (1 - suite.level):.4g}% interval {low} to {high}, margin {margin(allowed)}"
    )
    if suite.num_won is not None:
        text += f", {suite.num_won} won and {suite.num_lost} lost"
    if -allowed < interval.low and interval.high < 0:
        text += (
            f"; worse by at most {points(-interval.low).lstrip('+')} points, within the "
            f"{margin(allowed)} that are allowed"
        )
    return text


def _power(suite: SuiteResult) -> str:
    power = suite.power
    if power is None or not suite.rule.is_gating:
        return ""
    text = f" An equal release passes this set with probability {power.pass_probability:.0%}"
    enough = power.pass_probability >= 0.8 or power.num_samples is None
    return f"{text}." if enough else f"{text}; {power.num_samples} such samples give 80%."


def _is_early(suite: SuiteResult) -> bool:
    return suite.standing is not None and suite.standing.taken_at is None


def _standing(suite: SuiteResult) -> list[str]:
    """The state of the evidence over all looks at this pair of releases."""
    standing = suite.standing
    if standing is None or standing.difference is None:
        return []
    if len(standing.looks) == 1 and standing.taken_at == standing.num_samples:
        name = suite.rule.name
        return [f"suite {name}: the first look at this pair of releases, and the planned one."]
    low, high = (points(e) for e in (standing.interval.low, standing.interval.high))
    looks = _count(len(standing.looks), "look")
    text = (
        f"suite {suite.rule.name}: {looks} at this pair of releases, "
        f"{_count(standing.num_samples, 'sample')} in all: "
        f"{points(standing.difference)} points, "
    )
    if standing.interval.low > standing.interval.high:
        text += (
            "and they contradict each other: the samples of some nights are not like the others."
        )
    else:
        text += f"{low} to {high} at whatever look one stops."
    if standing.taken_at is None:
        return [f"{text} The planned look comes at {standing.planned}."]
    return [f"{text} The planned look was taken at {standing.taken_at}."]


def _shown(suite: SuiteResult, *, is_stopped: bool) -> list[str]:
    if not suite.num_shown:
        return []
    champion, challenger = (suite.releases[role].on_shown for role in ROLES)
    why = "could only be drawn by outcome" + (", or were asked out of turn" if is_stopped else "")
    return [
        f"suite {suite.rule.name}: {_count(suite.num_shown, 'sample')} of production, on which the "
        f"challenger scores {percent(challenger)} and the champion {percent(champion)}, {why}, so "
        "they are shown and do not count."
    ]


def _lacking(suite: SuiteResult, gate: GateRule) -> Iterator[str]:
    for role in ROLES:
        tally, answers = suite.releases[role].tally, f"answers of the {role}"
        of = f"suite {suite.rule.name}: of {tally.num_answers} {answers}"
        if tally.num_failed:
            yield f"{of}, {tally.num_failed} failed through its own fault; each counts 0."
        if tally.num_unknown:
            yield (
                f"{of}, {tally.num_missing} are missing and {tally.num_unscored} could not be "
                "scored, through no fault of its own."
            )
    if suite.too_many_missing:
        yield (
            f"suite {suite.rule.name}: more than {gate.max_missing_ratio:.0%} of a release's "
            "answers are not known, so the suite cannot pass."
        )
    elif suite.num_tipping is not None:
        yield (
            f"suite {suite.rule.name}: it would pass if at most {suite.num_tipping} of the samples "
            "concerned had gone against the challenger as far as they can."
        )
    elif suite.num_unknown and suite.verdict != "cannot_tell":
        yield f"suite {suite.rule.name}: whatever those answers were, it is {suite.verdict}."


def _guardrail(part: GuardrailResult, gate: GateRule) -> str:
    """What both use, how much more that is, and what is allowed."""
    rule, told = part.rule, part.comparison
    name = f"guardrail {rule.name}, {rule.measure}"
    if not part.num_samples and not part.num_unknown:
        return f"{name}: no samples that count, so nothing can be said: {part.verdict}."
    text = (
        f"{name}: challenger {measured(part.challenger, rule)} against champion "
        f"{measured(part.champion, rule)} on {_count(part.num_samples, 'sample')} "
        f"({_count(part.num_clusters, 'independent cluster')})"
    )
    if part.num_unknown:
        text += f"; of {part.num_unknown} more it is not known"
    if told is not None:
        more = f"{relative(told.ratio).lstrip('+-')} {'less' if told.ratio < 1 else 'more'}"
        text += f": {more} ({100 * (1 - part.level):.4g}% interval "
        text += f"{relative_interval(told.interval)}), {100 * rule.margin:g}% allowed"
    elif part.champion == 0:
        text += ": of nothing there is no share, so nothing can be said"
    else:
        text += ": fewer than six independent clusters of equal weight, so nothing can be said"
    if part.too_many_unknown:
        text += f": more than {gate.max_missing_ratio:.0%} are not known"
    return f"{text}: {part.verdict}."


def _look(decision: Decision, gate: GateRule) -> list[str]:
    """Why what is judged anew at every look is judged more strictly than before."""
    alpha = gate.alpha_of_look(decision.look)
    judged = ["slices"] if any(part.role != "report" for part in decision.slices) else []
    judged += ["guardrails"] if decision.guardrails else []
    if decision.look == 1 or not gate.early or not judged:
        return []
    return [
        f"This is look {decision.look} at this pair of releases: {' and '.join(judged)} are judged "
        f"at {100 * (1 - alpha):.4g}%, so that all looks together are wrong no more often than one."
    ]


def _slice(part: SliceResult, num_slices: int, alpha: float) -> str:
    name = f"{_slice_name(part)}: "
    if part.num_samples == 0:
        return (
            f"{name}guarded with margin {margin(part.margin)}, and no sample is in it: cannot_tell."
        )
    numbers = (
        f"challenger {percent(part.challenger)} against champion {percent(part.champion)} on "
        f"{_count(part.num_samples, 'sample')}"
    )
    if part.interval is not None:
        low, high = (points(end) for end in (part.interval.low, part.interval.high))
        numbers += f", interval {low} to {high}"
    numbers += f", margin {margin(part.margin)} points"
    if part.is_alarm:
        return (
            f"{name}{numbers}: worse. Among the {num_slices} slices looked at, at most "
            f"{alpha / 2:.3g} of such alarms are false."
        )
    if part.noise_floor is not None and part.margin < part.noise_floor:
        numbers += f", which is below the noise floor, {unsigned_points(part.noise_floor)}"
    return f"{name}{numbers}: cannot_tell, and it is guarded."


def _slice_name(part: SliceResult) -> str:
    return f"slice {part.slice}={part.value} of suite {part.suite}"


def _slices(parts: Sequence[SliceResult]) -> list[str]:
    """Suite by suite."""
    of_suites: dict[str, list[str]] = {}
    for part in parts:
        of_suites.setdefault(part.suite, []).append(f"{part.slice}={part.value}")
    return [f"{_named('slice', values)} of suite {suite}" for suite, values in of_suites.items()]


def _must_pass(demanded: MustPass) -> list[str]:
    sentences = []
    for items, told in (
        (demanded.new, "Must pass, the champion passes and the challenger failed"),
        (demanded.old, "Must pass, and champion and challenger both failed"),
        (demanded.unknown, "Must pass, and what the challenger answered is not known"),
    ):
        if items:
            sentences.append(f"{told}: {_sample_names(items)}.")
    if demanded.failed:
        sentences[-1] += " This blocks whatever the averages say."
    return sentences


def _sample_names(items: Sequence[JudgedSample]) -> str:
    named = [
        f"{item.sample.sample_id[:12]} of suite {item.sample.suite}" for item in items[:_MAX_NAMED]
    ]
    more = len(items) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _names(suites: Sequence[SuiteResult]) -> str:
    return _named("suite", [suite.rule.name for suite in suites])


def _named(noun: str, names: Sequence[str]) -> str:
    return f"{noun}{'' if len(names) == 1 else 's'} {', '.join(names)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
