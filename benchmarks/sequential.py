"""Looking every night: how often a release ships, or is called worse, in any of 60 looks.

    python -m benchmarks.sequential
    python -m benchmarks.sequential --slices     guarded slices alone
    python -m benchmarks.sequential --gate --runs 300   verdicts of the gate's own functions

Simulated right/wrong scores, one pair in ten discordant, margin 0.05, error rate 0.05 two-sided:
at most 0.025 on either side. Three kinds of set:

- growing: every night brings 50 new samples, all samples so far are judged
- window: the newest 500 samples, 50 of which are new every night
- redrawn: every night 500 samples out of one pool of 5,000, fewer and fewer of them new

"one look a night" judges each night's set by its own interval (Tango), as a gate without memory
does; "evidence" is tasks/statistics/sequence.py, fed by what is new, with the same interval for its
one planned look. Further: when an equal release ships, by the split of the error rate and the
planned size; a guarded slice, which has no evidence and is judged night by night, at the whole
error rate or at a part of it each look; clusters of unequal weight; what a run of 2,000 new samples
saves by stopping; how wide the sequence is beside one fixed look; and the time of one update of
100,000 samples.
Standard errors of the simulation are in brackets. Writes JSON to results/.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
from numpy.random import Generator
from scipy.special import ndtri

from benchmarks.process_cost import measure
from tasks.evidence.nights import night, standing
from tasks.gate.verdict import decide
from tasks.model.answer import Answer, JudgedSample
from tasks.model.comparison import Interval
from tasks.model.sample import Sample
from tasks.model.verdict import SHIPS, GateRule, SuiteRule
from tasks.statistics.betting import confidence_sequence
from tasks.statistics.intervals import clustered_mean, skewed_interval, t_interval
from tasks.statistics.sequence import (
    Batch,
    FixedInterval,
    Plan,
    begin,
    decision,
    look,
    update,
)
from tasks.statistics.tango import tango_interval, tango_statistic

ROOT = Path(__file__).resolve().parent.parent
MARGIN, ALPHA, DISCORDANCE = 0.05, 0.05, 0.1
KINDS = ("growing", "window", "redrawn")
NUM_LOOKS, NIGHTLY, WINDOW, POOL = 60, 50, 500, 5_000
#: margin, planned samples, share of the error rate for the sequence
PLANS = (
    (0.02, 2_000, 0.2), (0.05, 500, 0.2), (0.05, 1_000, 0.1), (0.05, 1_000, 0.2),
    (0.05, 1_000, 0.4), (0.08, 500, 0.2),
)  # fmt: skip
MOMENTS = (200, 500, 1_000, 2_000)
IDS = [str(number) for number in range(100_000)]


def drawn(count: int, mean: float, rng: Generator, discordance: float = DISCORDANCE) -> np.ndarray:
    lost, won = (discordance - mean) / 2, (discordance + mean) / 2
    return rng.choice([-1.0, 0.0, 1.0], count, p=[lost, 1 - lost - won, won])


def tango(values: np.ndarray, alpha: float) -> Interval:
    return _tango(int((values > 0).sum()), int((values < 0).sum()), len(values), alpha)


_tango = lru_cache(maxsize=None)(tango_interval)


def nights(kind: str, rng: Generator) -> Iterator[np.ndarray]:
    """Of each night the places of its samples among all of a run."""
    for number in range(NUM_LOOKS):
        if kind == "growing":
            yield np.arange((number + 1) * NIGHTLY)
        elif kind == "window":
            yield np.arange(number * NIGHTLY, WINDOW + number * NIGHTLY)
        else:
            yield rng.choice(POOL, WINDOW, replace=False)


def many_looks(kind: str, mean: float, planned: int, rng: Generator) -> set[str]:
    """One run of 60 nights: what was decided in any of them, by either way."""
    values, is_fed = drawn(POOL, mean, rng), np.zeros(POOL, dtype=bool)
    evidence, decided = begin(Plan(MARGIN, planned, 1.0, ALPHA)), set()
    for places in nights(kind, rng):
        interval = tango(values[places], ALPHA)
        if interval.low > -MARGIN:
            decided.add("one look a night: ship")
        if interval.high < 0:
            decided.add("one look a night: worse")
        new = places[~is_fed[places]]
        is_fed[new] = True
        evidence = update(evidence, Batch(values[new], [IDS[place] for place in new]))
        evidence = look(evidence, lambda alpha: tango(values[is_fed], alpha))
        decided.add(f"evidence: {decision(evidence)}")
    return decided


def error_rates(num_runs: int, planned: int) -> Iterator[dict[str, Any]]:
    for mean, wrong in ((-MARGIN, "ship"), (0.0, "worse")):
        for kind in KINDS:
            rng = np.random.default_rng(1)
            runs = [many_looks(kind, mean, planned, rng) for _ in range(num_runs)]
            for way in ("one look a night", "evidence"):
                yield {
                    "set": kind, "difference": mean, "wrong": wrong, "way": way,
                    **rate(sum(f"{way}: {wrong}" in decided for decided in runs), num_runs),
                }  # fmt: skip


def guarded_slices(num_runs: int) -> Iterator[dict[str, Any]]:
    """A slice is guarded as a suite is judged by one look a night: how often it ever passes at a
    true loss of its margin."""
    gate = GateRule(ALPHA, 0.2, 0.1, 0.25, 0.98)
    ways = {
        "slice at the whole error rate": np.full(NUM_LOOKS, ALPHA),
        "slice by its part of it": np.array(
            [gate.alpha_of_look(look) for look in range(1, NUM_LOOKS + 1)]
        ),
    }
    for kind in KINDS:
        rng = np.random.default_rng(7)
        ever = dict.fromkeys(ways, 0)
        for _ in range(num_runs):
            values = drawn(POOL, -MARGIN, rng)
            seen = [values[places] for places in nights(kind, rng)]
            won, lost, count = (
                np.array([f(part) for part in seen])
                for f in (lambda part: (part > 0).sum(), lambda part: (part < 0).sum(), len)
            )
            # the interval at 1 - alpha lies above -margin where this is larger than the quantile
            statistic = tango_statistic(won, lost, count, -MARGIN)
            for way, alpha in ways.items():
                ever[way] += bool((statistic > ndtri(1 - alpha / 2)).any())
        for way, count in ever.items():
            yield {"set": kind, "difference": -MARGIN, "wrong": "ship", "way": way,
                   **rate(count, num_runs)}  # fmt: skip


def verdicts_of_a_life(task: tuple[str, float, int, int]) -> set[str]:
    """What the gate says in any of 60 nights, by the functions that its stage calls."""
    kind, mean, planned, seed = task
    rng = np.random.default_rng([11, seed])
    rule = SuiteRule("suite", "primary", MARGIN, "exact_match")
    gate = GateRule(ALPHA, 0.2, 0.1, 0.25, 0.98)
    items = [
        JudgedSample(
            Sample(f"s{n}", "suite", None, (), None, "t", "gold", "suite", cluster_id=f"c{n}"),
            {"champion": (Answer(float(value <= 0)),), "challenger": (Answer(float(value >= 0)),)},
        )
        for n, value in enumerate(drawn(POOL, mean, rng))
    ]
    evidence, fed, said = None, (), set()
    for places in nights(kind, rng):
        asked = [items[place] for place in places]
        look_ = night(evidence, fed, asked, rule, gate, planned)
        evidence, fed = look_.evidence, (*fed, *look_.fed)
        stands = {"suite": standing(look_)}
        said.add(decide(asked, [rule], gate, is_same_release=False, standing=stands).verdict)
    return said


def through_the_gate(
    num_runs: int, planned: int, kinds: Sequence[str], *, at_margin_only: bool
) -> Iterator[dict[str, Any]]:
    cases = ((-MARGIN, SHIPS), (0.0, ("worse",)))
    with multiprocessing.Pool() as pool:
        for mean, wrong in cases[:1] if at_margin_only else cases:
            for kind in kinds:
                tasks = [(kind, mean, planned, seed) for seed in range(num_runs)]
                lives = pool.map(verdicts_of_a_life, tasks, chunksize=4)
                count = sum(bool(said & set(wrong)) for said in lives)
                yield {"set": kind, "difference": mean, "wrong": " or ".join(wrong),
                       "way": "verdict", **rate(count, num_runs)}  # fmt: skip


def rate(count: int, num_runs: int) -> dict[str, Any]:
    share = count / num_runs
    return {"rate": share, "error": math.sqrt(share * (1 - share) / num_runs), "runs": num_runs}


def ships_after(plan: Plan, mean: float, rng: Generator) -> float:
    """Samples fed when it first ships, in nights of 50; infinity if not by 2,000."""
    values, evidence = drawn(MOMENTS[-1], mean, rng), begin(plan)
    for end in range(NIGHTLY, MOMENTS[-1] + 1, NIGHTLY):
        rows = slice(end - NIGHTLY, end)
        evidence = update(evidence, Batch(values[rows], IDS[rows]))
        evidence = look(evidence, lambda alpha, end=end: tango(values[:end], alpha))
        if decision(evidence) == "ship":
            return end
    return math.inf


def power(num_runs: int) -> Iterator[dict[str, Any]]:
    for margin, planned, early in PLANS:
        rng = np.random.default_rng(2)
        plan = Plan(margin, planned, 1.0, ALPHA, early)
        ends = np.array([ships_after(plan, 0.0, rng) for _ in range(num_runs)])
        yield {
            "margin": margin, "planned": planned, "early": early, "runs": num_runs,
            "ships_by": {end: float((ends <= end).mean()) for end in MOMENTS},
        }  # fmt: skip


def clustered(num_runs: int) -> Iterator[dict[str, Any]]:
    """Conversations of 1 to 4 samples that are lost together, longer ones more often: a loss of
    the margin over samples, less over conversations. 50 new ones every night; the planned look is
    the hull of the t interval and the one corrected for skewness."""
    shares, sizes = np.array([0.4, 0.3, 0.2, 0.1]), np.arange(1, 5)
    losses = 0.05 + 0.025 * sizes - 0.025 * (shares * sizes**2).sum() / (shares * sizes).sum()
    rng, plan = np.random.default_rng(3), Plan(MARGIN, 1_000, max_weight=4.0, alpha=ALPHA)
    ever = dict.fromkeys(("evidence", "its sequence", "its planned look"), 0)
    for _ in range(num_runs):
        size = rng.choice(sizes, NUM_LOOKS * NIGHTLY, p=shares)
        chance = rng.random(len(size))
        lost = (DISCORDANCE + losses[size - 1]) / 2
        value = np.where(chance < lost, -1.0, np.where(chance > 1 - DISCORDANCE + lost, 1.0, 0.0))
        evidence = begin(plan)
        ways: set[str] = set()
        for start in range(0, len(size), NIGHTLY):
            night = np.repeat(np.arange(start, start + NIGHTLY), size[start : start + NIGHTLY])
            evidence = update(evidence, Batch(value[night], [IDS[place] for place in night]))
            fed = np.repeat(np.arange(start + NIGHTLY), size[: start + NIGHTLY])
            evidence = look(evidence, skewed_look(value[fed], fed))
            if decision(evidence) == "ship":
                ways.add("evidence")
        if confidence_sequence(evidence.bets, plan.alpha * plan.early).low > -MARGIN:
            ways.add("its sequence")
        if evidence.fixed is not None and evidence.fixed.low > -MARGIN:
            ways.add("its planned look")
        for way in ways:
            ever[way] += 1
    for way, count in ever.items():
        yield {"set": "growing, clusters of 1 to 4", "difference": -MARGIN, "wrong": "ship",
               "way": way, **rate(count, num_runs)}  # fmt: skip


def skewed_look(values: np.ndarray, clusters: np.ndarray) -> FixedInterval:
    def interval(alpha: float) -> Interval:
        mean = clustered_mean(values, clusters)
        return t_interval(mean, alpha).hull(skewed_interval(mean, alpha))

    return interval


def savings(num_runs: int, num_samples: int = 2_000) -> Iterator[dict[str, Any]]:
    for mean in (0.0, 0.02, -0.025, -MARGIN, -0.1):
        rng, ends, used = np.random.default_rng(4), [], []
        for _ in range(num_runs):
            values = drawn(num_samples, mean, rng, max(DISCORDANCE, abs(mean) * 1.5))
            evidence = begin(Plan(MARGIN, num_samples, 1.0, ALPHA))
            for start in range(0, num_samples, NIGHTLY):
                part = slice(start, start + NIGHTLY)
                evidence = update(evidence, Batch(values[part], IDS[part]))
                evidence = look(evidence, lambda alpha, seen=values: tango(seen, alpha))
                if decision(evidence) != "go_on":
                    break
            ends.append(decision(evidence))
            used.append(evidence.num_samples)
        yield {
            "difference": mean, "samples": num_samples, "used_on_average": float(np.mean(used)),
            **{end: ends.count(end) / num_runs for end in ("ship", "worse", "futile", "go_on")},
        }  # fmt: skip


def widths(num_runs: int) -> Iterator[dict[str, Any]]:
    """Of the sequence and of one fixed look, both at the whole error rate."""
    for count in (500, 2_000):
        rng, ratios, held = np.random.default_rng(5), [], 0
        for _ in range(num_runs):
            values = drawn(count, 0.0, rng)
            bets = update(begin(Plan(MARGIN, count, 1.0)), Batch(values, IDS[:count])).bets
            sequence, fixed = confidence_sequence(bets, ALPHA), tango(values, ALPHA)
            ratios.append((sequence.high - sequence.low) / (fixed.high - fixed.low))
            held += sequence.low <= 0 <= sequence.high
        yield {"samples": count, "times_as_wide": float(np.mean(ratios)), "held": held / num_runs}


def largest_update() -> float:
    """Seconds for 100,000 samples, each a cluster."""
    values = drawn(100_000, 0.0, np.random.default_rng(6))
    start = begin(Plan(MARGIN, 100_000, 1.0))
    return measure(lambda: update(start, Batch(values, IDS)) and None).seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--planned", type=int, default=1_000)
    parser.add_argument("--slices", action="store_true", help="guarded slices alone")
    parser.add_argument("--gate", action="store_true", help="the gate's own functions alone")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS, help="with --gate")
    parser.add_argument("--at-margin", action="store_true", help="with --gate: no equal releases")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    few = max(1, options.runs // 5)
    print("| set | true difference | wrong | way | ever, in 60 looks |\n|---|---|---|---|---|")
    errors = []
    rates = [guarded_slices(options.runs)]
    if options.gate:
        rates = [
            through_the_gate(
                options.runs, options.planned, options.kinds, at_margin_only=options.at_margin
            )
        ]
    elif not options.slices:
        rates = [error_rates(options.runs, options.planned), *rates, clustered(options.runs)]
    for line in chain.from_iterable(rates):
        errors.append(line)
        print(f"| {line['set']} | {line['difference']} | {line['wrong']} | {line['way']} | "
              f"{line['rate']:.3f} ({line['error']:.3f}) |", flush=True)  # fmt: skip
    from benchmarks import results

    if options.slices or options.gate:
        print()
        name = "sequential-gate" if options.gate else "sequential-slices"
        results.write({**results.header(), "errors": errors}, options.out, name)
        return
    held = [
        f"{line['set']} ({line['wrong']}): {'yes' if line['rate'] <= ALPHA / 2 else 'no'}"
        for line in errors
        if line["way"] == "evidence"
    ]
    print(f"\nevidence is ever wrong in at most {ALPHA / 2:.1%} of the runs: {'; '.join(held)}")
    heads = " | ".join(f"by {end:,}" for end in MOMENTS)
    print(f"\n| margin | planned | early | an equal release ships {heads} |\n" + "|---" * 7 + "|")
    passing = []
    for line in power(options.runs):
        passing.append(line)
        shares = " | ".join(f"{share:.3f}" for share in line["ships_by"].values())
        print(f"| {line['margin']} | {line['planned']:,} | {line['early']} | {shares} |",
              flush=True)  # fmt: skip
    print("\n| true difference | samples used of 2,000 | ship | worse | futile | go on |\n"
          + "|---" * 6 + "|")  # fmt: skip
    saved = list(savings(few))
    for line in saved:
        ends = " | ".join(f"{line[end]:.2f}" for end in ("ship", "worse", "futile", "go_on"))
        print(f"| {line['difference']} | {line['used_on_average']:,.0f} | {ends} |")
    wide = list(widths(few))
    for line in wide:
        print(f"\nthe sequence alone after {line['samples']:,} samples: "
              f"{line['times_as_wide']:.2f} times as wide as one fixed look")  # fmt: skip
    seconds = largest_update()
    print(f"\none update of 100,000 samples: {seconds:.2f} s")
    report = {**results.header(), "planned": options.planned, "errors": errors, "power": passing,
              "savings": saved, "widths": wide, "seconds_for_100000": seconds}  # fmt: skip
    results.write(report, options.out, "sequential")


if __name__ == "__main__":
    main()
