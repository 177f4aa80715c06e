"""The noise floor in words: for the terminal, the plan and every verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tasks.model.noise import OF_THE_ENGINE, Condition, KnownNoise, Noise, SuiteNoise
from tasks.model.verdict import SuiteResult
from tasks.report import wording

NOT_MEASURED = "Noise floor: not measured, flywheel noise does it."


def told(noise: Noise, sizes: Mapping[str, int] | None = None) -> str:
    """What each condition changed. `sizes`: the suites to tell of, each with the number of samples
    whose floor is told; without it, all at their size."""
    if sizes is None:
        sizes = {suite.suite: suite.num_samples for suite in noise.suites}
    suites = [suite for suite in noise.suites if suite.suite in sizes]
    of_engine = [c for c in noise.measured if c.name in OF_THE_ENGINE]
    unchanged = of_engine and not any(noise.num_changed(c.name) for c in of_engine)
    parts = []
    for condition in noise.conditions:
        text = _condition(noise, condition, suites, sizes)
        first = unchanged and condition is of_engine[0]
        parts.append(f"the engine changes nothing: {text}" if first else text)
    return "; ".join(parts)


def noise_sentences(known: KnownNoise | None, suites: Sequence[SuiteResult]) -> tuple[str, ...]:
    """For a verdict: one that tells what is known, then one for every suite that it holds."""
    if known is None:
        return (NOT_MEASURED,)
    gating = [suite for suite in suites if suite.rule.is_gating and suite.num_samples]
    sizes = {s.rule.name: s.num_evidence for s in gating if s.noise_floor is not None}
    when = wording.age(24 * known.age_days)
    text = f"Noise floor (run {known.run_id}, {when}): {told(known.noise, sizes)}."
    unknown = [suite.rule.name for suite in gating if suite.noise_floor is None]
    if unknown:
        text += f" Not known of {', '.join(unknown)} as judged now: flywheel noise."
    held = [suite for suite in gating if suite.is_below_noise and suite.verdict == "cannot_tell"]
    return (text, *map(_held, held))


def margins_below(
    noises: Iterable[SuiteNoise], asked: Mapping[str, tuple[float, int]]
) -> list[str]:
    """Of suites that were measured, those whose margin is below the floor. `asked`: suite → its
    margin, and its number of samples."""
    told = []
    for noise in noises:
        margin, num_samples = asked.get(noise.suite, (1.0, noise.num_samples))
        floor = noise.floor_at(num_samples)
        if floor is not None and margin < floor:
            told.append(margin_below(noise.suite, margin, floor, num_samples))
    return told


def margin_below(suite: str, margin: float, floor: float, num_samples: int) -> str:
    allowed = wording.margin(margin)
    return (
        f"suite {suite}: the margin of {allowed} points is below the noise floor: 19 times in 20 "
        f"two runs of the champion itself differ by up to {_points(floor)} points on {num_samples} "
        "such samples, so a pass would say nothing"
    )


def _held(suite: SuiteResult) -> str:
    assert suite.noise_floor is not None, "it is below it"
    text = margin_below(suite.rule.name, suite.rule.margin, suite.noise_floor, suite.num_evidence)
    return f"{text}."


def _condition(
    noise: Noise, condition: Condition, suites: Sequence[SuiteNoise], sizes: Mapping[str, int]
) -> str:
    if condition.not_measured:
        return condition.not_measured
    name = condition.name
    changed, answers = noise.num_changed(name), noise.num_answers(name)
    text = f"{condition.what} changed {changed} of {answers} "
    text += "scores" if name == "judge" else "answers"
    lost = sum(suite.repetitions[name].num_lost for suite in noise.suites)
    if lost:
        text += f" ({lost} more got lost)"
    if not changed:
        return text
    if condition.is_promised:
        text += ", which the engine promises not to"
    floors = {suite.suite: suite.floor_of(name, sizes[suite.suite]) for suite in suites}
    moved = [f"suite {suite} by up to {_points(floor)}" for suite, floor in floors.items() if floor]
    return f"{text} and moves {', '.join(moved)} points" if moved else f"{text} and moves no suite"


def _points(value: float) -> str:
    return wording.unsigned_points(value)
