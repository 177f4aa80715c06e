"""Slices: where a difference comes from, and whether one may be too large in one place.

A declared slice is guarded: every value of it must be no worse by a margin of its own, at the
gate's full error rate, as a suite must. All others are watched. Among many slices some lie off by
chance, so one of either kind raises an alarm only where its loss beyond the margin is certain by
the false discovery rate of all. No evidence is gathered over nights: every look is by an interval
of its own, and has its part of the error rate. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tasks.evidence.arrays import Evidence
from tasks.model.answer import JudgedSample
from tasks.model.comparison import Comparison
from tasks.model.verdict import GateRule, SliceResult, SliceRole, SuiteRule
from tasks.statistics.families import false_discovery

#: why a sample was taken in
_ORIGIN = "origin"
#: of a guarded slice that no sample has
_NO_VALUE = "(none)"


def slice_results(
    by_suite: Mapping[str, Sequence[JudgedSample]],
    evidence: Mapping[str, Evidence],
    rules: Sequence[SuiteRule],
    gate: GateRule,
    look: int = 1,
) -> tuple[SliceResult, ...]:
    """Every suite × slice × value, sorted by name; `evidence` of all samples of a suite. `look`: of
    how many at this pair of releases this is the last.

    The origin says how production's answer was, so whoever is in production wins on one value of it
    and loses on the other by construction: it is shown and not watched. Samples that are not
    counted would tilt every other slice they lie in, so they are in that of their origin alone.
    """
    results: list[SliceResult] = []
    alpha = gate.alpha_of_look(look)
    tested: list[tuple[int, float]] = []  # position in `results`, p value
    for rule in sorted(rules, key=lambda rule: rule.name):
        positions_of = _positions(by_suite[rule.name])
        for name in rule.slices.keys() - {name for name, _ in positions_of}:
            positions_of[name, _NO_VALUE] = []
        for (name, value), positions in sorted(positions_of.items()):
            part = evidence[rule.name].part(np.array(positions, dtype=np.int64))
            tells_all = name != _ORIGIN and rule.is_gating
            role: SliceRole = "watched" if tells_all else "report"
            margin = rule.margin
            if tells_all and name in rule.slices:
                role, margin = "guarded", rule.slices[name]
            if role != "report":
                tested.append((len(results), part.p_value_of_loss(-margin, gate.unseen_loss)))
            comparison = part.comparison(alpha, gate.unseen_loss)
            results.append(_result(rule.name, name, value, part, comparison, margin, role))
    adjusted = false_discovery([p for _, p in tested]) if tested else []
    for (position, _), p in zip(tested, adjusted, strict=True):
        if p <= alpha / 2:  # one side of a two-sided error rate, as everywhere
            results[position] = replace(results[position], verdict="worse", is_alarm=True)
    return tuple(results)


def _positions(judged: Sequence[JudgedSample]) -> dict[tuple[str, str], list[int]]:
    positions: dict[tuple[str, str], list[int]] = {}
    for position, item in enumerate(judged):
        for name, value in item.sample.slices.items():
            if item.sample.is_counted or name == _ORIGIN:
                positions.setdefault((name, value), []).append(position)
    return positions


def _result(
    suite: str,
    name: str,
    value: str,
    part: Evidence,
    comparison: Comparison | None,
    margin: float,
    role: SliceRole,
) -> SliceResult:
    interval = None if comparison is None else comparison.interval
    champion, challenger = part.mean("champion"), part.mean("challenger")
    difference = None if champion is None or challenger is None else challenger - champion
    return SliceResult(
        suite,
        name,
        value,
        num_samples=part.num_samples,
        num_clusters=part.num_clusters,
        champion=champion,
        challenger=challenger,
        difference=difference if comparison is None else comparison.difference,
        ci_low=None if interval is None else interval.low,
        ci_high=None if interval is None else interval.high,
        margin=margin,
        role=role,
        verdict="no_worse" if interval is not None and interval.low > -margin else "cannot_tell",
    )
