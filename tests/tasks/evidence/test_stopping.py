"""Stopping inside a run: what it may decide, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tasks.evidence.nights import night, standing
from tasks.evidence.stopping import Stop, decided, in_turn
from tasks.gate.verdict import decide
from tasks.model.answer import JudgedSample
from tasks.model.verdict import SuiteRule
from tests.tasks.gate.cases import GATE, GUARD, PRIMARY, REPORT, sample

NIGHTLY = replace(GATE, early=0.2)


def _drawn(
    count: int, difference: float, seed: int, suite: str = "route", changed: float = 0.1
) -> list[JudgedSample]:
    draw = np.random.default_rng(seed)
    won, lost = (changed + difference) / 2, (changed - difference) / 2
    kinds = draw.choice([-1, 0, 1], count, p=[lost, 1 - won - lost, won])
    return [sample(n, float(kind <= 0), float(kind >= 0), suite) for n, kind in enumerate(kinds)]


def _until(
    judged: Sequence[JudgedSample],
    rules: Sequence[SuiteRule] = (PRIMARY,),
    *,
    chunk: int = 25,
    may_ship: bool = True,
) -> tuple[Stop | None, Sequence[JudgedSample]]:
    """What the run came to, and the samples it asked."""
    order = {s.sample_id: n for n, s in enumerate(in_turn([i.sample for i in judged], rules, "x"))}
    asked = sorted(judged, key=lambda item: order[item.sample.sample_id])
    stop, known = None, asked[:0]
    for end in range(chunk, len(asked) + chunk, chunk):
        known = asked[:end]
        stop = decided(
            known, _nights(known, judged, rules), rules, NIGHTLY,
            num_must_pass=sum(item.sample.must_pass for item in judged), may_ship=may_ship,
        )  # fmt: skip
        if stop is not None:
            break
    return stop, known


def _nights(known, judged, rules):  # type: ignore[no-untyped-def]
    nights = {}
    for rule in rules:
        part = [item for item in known if item.sample.suite == rule.name]
        whole = sum(item.sample.suite == rule.name for item in judged)
        if rule.is_gating and part:
            nights[rule.name] = night(None, [], part, rule, NIGHTLY, whole)
    return nights


def _verdict(known: Sequence[JudgedSample], judged, rules=(PRIMARY,)) -> str:  # type: ignore[no-untyped-def]
    stands = {name: standing(look) for name, look in _nights(known, judged, rules).items()}
    return decide(known, rules, NIGHTLY, is_same_release=False, standing=stands).verdict


@pytest.mark.parametrize(
    ("difference", "changed", "seed", "stop", "verdict"),
    [
        (0.2, 0.3, 1, "ship", ("better", "no_worse")),
        (-0.2, 0.3, 1, "worse", ("worse",)),
        (-0.07, 0.1, 2, "futile", ("cannot_tell",)),
    ],
)
def test_a_run_asks_no_more_than_its_decision_and_the_gate_says_the_same(
    difference: float, changed: float, seed: int, stop: Stop, verdict: tuple[str, ...]
) -> None:
    judged = _drawn(1000, difference, seed, changed=changed)
    found, known = _until(judged, chunk=50)
    assert found == stop
    assert len(known) < 1000
    assert _verdict(known, judged) in verdict


def test_what_is_not_decided_before_the_end_is_asked_to_the_end() -> None:
    judged = _drawn(120, 0.0, 3)
    found, known = _until(judged)
    assert len(known) == 120
    assert (found == "ship") == (_verdict(judged, judged) == "no_worse")


def test_every_gating_suite_must_pass_and_one_that_loses_is_enough() -> None:
    good = _drawn(600, 0.2, 4, changed=0.3)
    equal = _drawn(600, 0.0, 5, "mood", changed=0.4)
    bad = _drawn(600, -0.3, 6, "mood", changed=0.4)
    shown = _drawn(600, -0.5, 7, "logged", changed=0.6)
    rules = (PRIMARY, GUARD, REPORT)
    assert _until([*good, *bad, *shown], rules)[0] == "worse"
    assert _until([*good, *shown], (PRIMARY, REPORT))[0] == "ship"
    # a suite without any samples cannot have passed
    assert _until(good, (PRIMARY, GUARD))[0] is None
    found, known = _until([*good, *equal], (PRIMARY, GUARD))
    assert len(known) > 200 or found != "ship"


def test_where_something_must_be_seen_whole_no_pass_stops_a_run() -> None:
    good = _drawn(600, 0.2, 8, changed=0.3)
    assert _until(good)[0] == "ship"
    assert _until(good, may_ship=False) == (None, _until(good, may_ship=False)[1])


def test_a_sample_that_must_pass_and_failed_blocks_at_once() -> None:
    judged = _drawn(600, 0.0, 9)
    first = int(in_turn([item.sample for item in judged], (PRIMARY,), "x")[3].sample_id[-4:])
    judged[first] = sample(first, 1.0, 0.0, must_pass=True)
    stop, known = _until(judged)
    assert (stop, len(known)) == ("blocked", 25)
    assert _verdict(known, judged) == "blocked"


def test_the_order_is_random_whole_clusters_and_what_does_not_count_comes_last() -> None:
    items = [sample(n, 1, 1, cluster=f"c{n // 3}", is_counted=n % 9 != 0) for n in range(90)]
    items += [sample(n, 1, 1, "logged") for n in range(10)]
    order = in_turn([item.sample for item in items], (PRIMARY, REPORT), "seed")
    counted = [s for s in order if s.is_counted and s.suite == "route"]
    assert order[: len(counted)] == counted
    clusters = [s.cluster_id for s in counted]
    assert len([1 for a, b in pairwise(clusters) if a != b]) == 29
    again = in_turn([item.sample for item in reversed(items)], (PRIMARY, REPORT), "seed")
    assert again == order
    assert in_turn([item.sample for item in items], (PRIMARY, REPORT), "other") != order


@pytest.mark.parametrize(("difference", "wrong"), [(-0.05, "ship"), (0.0, "worse")])
def test_stopping_is_wrong_no_more_often_than_the_gate(difference: float, wrong: str) -> None:
    """At most alpha / 2 of the runs, however often one looks."""
    num_runs = 100
    ends = [_until(_drawn(400, difference, 100 + n), chunk=50)[0] for n in range(num_runs)]
    assert ends.count(wrong) <= num_runs * 0.025 + 2 * (num_runs * 0.025) ** 0.5  # type: ignore[arg-type]
