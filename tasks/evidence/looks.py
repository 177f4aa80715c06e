"""A look at a run's answers: what it adds to the evidence that the store holds on its releases.

The gate keeps what it finds; evaluate asks the same while answers come in, and keeps nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tasks.evidence.nights import Night, night
from tasks.model.answer import JudgedSample
from tasks.model.receipt import Receipt
from tasks.model.sample import Sample
from tasks.model.verdict import GateRule, SuiteRule
from tasks.store import Store
from tasks.store.control import evidence
from tasks.store.control.evidence import EvidenceKey


def planned_sizes(samples: Sequence[Sample], declared: int, plan: Receipt | None) -> dict[str, int]:
    """Suite → at how many samples its one look by interval is planned. `samples`: of the whole eval
    set, whatever part of it was asked; `declared` for all in the settings, 0: not.

    A set of hand-written samples is what it is. One that production adds to may be too small today
    and large enough next week: it is looked at when an equal release would pass, but not later
    than at four times its size.
    """
    planned = dict(Counter(sample.suite for sample in samples if sample.is_counted))
    for suite in plan.notes["suites"] if plan is not None else ():
        size, enough = suite["num_samples"], suite["num_samples_for_80"]
        if suite["grows"] and enough is not None:
            planned[suite["suite"]] = min(max(size, enough), 4 * size)
    return dict.fromkeys(planned, declared) if declared else planned


def looks(
    store: Store,
    digests: tuple[str, str],
    rules: Sequence[SuiteRule],
    judged: Sequence[JudgedSample],
    gate: GateRule,
    scorers: Mapping[str, str],
    planned: Mapping[str, int],
    num_challengers: int,
) -> dict[str, tuple[EvidenceKey, Night]]:
    """Of every suite that gates and has samples that count. `digests`: champion and challenger;
    where the gate looks only once, or a release is compared with itself, there is no evidence to
    add to."""
    if not gate.early or digests[0] == digests[1]:
        return {}
    nights: dict[str, tuple[EvidenceKey, Night]] = {}
    for rule in rules:
        items = [item for item in judged if item.sample.suite == rule.name]
        if not rule.is_gating or not any(item.sample.is_counted for item in items):
            continue
        key = EvidenceKey(*digests, rule.name, scorers[rule.name], rule.margin, num_challengers)
        before = evidence.read_evidence(store, key)
        fed = evidence.fed_samples(store, key)
        nights[rule.name] = (key, night(before, fed, items, rule, gate, planned[rule.name]))
    return nights
