"""Whether what is known of two releases decides a run, so that the rest need not be asked.

What is known is a part of the samples in an order blind to outcomes; the bets of the evidence hold
wherever one stops. Nothing is decided here that the gate would not decide on the same part: a loss
is called by the strictest step of the gate's own rule for families. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tasks.evidence.must_pass import must_pass
from tasks.evidence.nights import Night, standing
from tasks.model.answer import JudgedSample
from tasks.model.sample import Sample
from tasks.model.verdict import GateRule, SuiteRule
from tasks.statistics.sequence import is_futile, random_order

Stop = Literal["ship", "worse", "blocked", "futile"]


def in_turn(samples: Sequence[Sample], rules: Sequence[SuiteRule], seed: str) -> list[Sample]:
    """The samples in the order in which they are asked: whole clusters, at random; those that do
    not count, or are of suites that do not gate, last."""
    gating = {rule.name for rule in rules if rule.is_gating}
    order = random_order((sample.cluster_id for sample in samples), seed)
    places = {cluster: place for place, cluster in enumerate(order)}

    def turn(sample: Sample) -> tuple[bool, int, str]:
        counts = sample.is_counted and sample.suite in gating
        return not counts, places[sample.cluster_id], sample.sample_id

    return sorted(samples, key=turn)


def decided(
    judged: Sequence[JudgedSample],
    nights: Mapping[str, Night],
    rules: Sequence[SuiteRule],
    gate: GateRule,
    *,
    num_must_pass: int,
    may_ship: bool,
) -> Stop | None:
    """worse    a gating suite is lost for certain, among all of them
    blocked  a sample that must pass has failed, of `num_must_pass` in all
    futile   an equal release would hardly pass one of the suites any more
    ship     all gating suites have passed; samples that must pass may still be open. Not where
             something else has to be looked at on all samples (not `may_ship`)
    """
    gating = [rule for rule in rules if rule.is_gating]
    states = [standing(nights[rule.name]) for rule in gating if rule.name in nights]
    by_look, by_bets = (
        alpha / 2 / max(1, len(gating)) for alpha in (gate.look_alpha, gate.alpha * gate.early)
    )
    if any(s.p_of_loss[0] <= by_look or s.p_of_loss[1] <= by_bets for s in states):
        return "worse"
    if must_pass(judged, gate, num_must_pass).failed:
        return "blocked"
    if any(is_futile(nights[rule.name].evidence) for rule in gating if rule.name in nights):
        return "futile"
    passed = [
        state.interval.high >= state.interval.low > -rule.margin
        for rule, state in zip(gating, states, strict=False)
    ]
    if may_ship and gating and len(states) == len(gating) and all(passed):
        return "ship"
    return None
