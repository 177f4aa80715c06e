"""How often a release that uses exactly as much more as is allowed passes a guardrail.

    python -m benchmarks.ratios

Lognormal lengths of answers, 0.6 alike between the releases and, in clusters, half of the variance
between them; margin 0.1, error rate 0.05 two-sided: at most 0.025 should pass at a true ratio of
1.1, and the true ratio should lie in the interval in 0.95. Last, answers that are the same but for
rare ones that are so many times as long, again a tenth more on average: what no sample shows nobody
can see. Asks tasks/statistics/ratio.py, the function that decides. Standard errors of the
simulation are in brackets. Writes JSON to results/.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
from numpy.random import Generator

from tasks.statistics.ratio import Measured, p_value_of_less

ALPHA, ALLOWED = 0.05, 1.1


def lognormal(
    draw: Generator, clusters: int, size: int, sigma: float, ratio: float = ALLOWED
) -> Measured:
    labels = np.repeat(np.arange(clusters), size)
    share = math.sqrt(0.5) if size > 1 else 0.0

    def normal() -> np.ndarray:
        within = draw.normal(size=len(labels))
        return share * draw.normal(size=clusters)[labels] + math.sqrt(1 - share**2) * within

    task, own = normal(), normal()
    return Measured(
        np.exp(sigma * task),
        ratio * np.exp(sigma * (0.6 * task + 0.8 * own)),
        labels,
        np.ones(len(labels)),
    )


def endless(draw: Generator, count: int, rare: float, times: float) -> Measured:
    """Of a true ratio of 1 + rare · (times - 1)."""
    champion = np.exp(0.5 * draw.normal(size=count))
    longer = np.where(draw.random(count) < rare, times, 1.0)
    return Measured(champion, champion * longer, np.arange(count), np.ones(count))


Draw = Callable[[Generator], Measured]
CASES: tuple[tuple[str, float, Draw], ...] = (
    *(
        (f"{n} lengths, sigma {sigma:g}", ALLOWED, lambda d, n=n, s=sigma: lognormal(d, n, 1, s))
        for n in (50, 200, 1000)
        for sigma in (0.5, 1.0)
    ),
    ("50 clusters of 4, sigma 1", ALLOWED, lambda draw: lognormal(draw, 50, 4, 1.0)),
    ("20 clusters of 10, sigma 0.5", ALLOWED, lambda draw: lognormal(draw, 20, 10, 0.5)),
    ("200, 1 in 10 twice as long", 1.1, lambda draw: endless(draw, 200, 0.1, 2.0)),
    ("200, 1 in 100 eleven times as long", 1.1, lambda draw: endless(draw, 200, 0.01, 11.0)),
    ("1,000, 1 in 100 eleven times as long", 1.1, lambda draw: endless(draw, 1000, 0.01, 11.0)),
    ("500 lengths, sigma 0.5, no difference", 1.0, lambda draw: lognormal(draw, 500, 1, 0.5, 1.0)),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=4_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from benchmarks import results

    print("| answers | true ratio | passes a margin of 0.1 | true ratio in its interval |\n|---"
          "|---|---|---|")  # fmt: skip
    lines = []
    for number, (about, truth, make) in enumerate(CASES):
        passed = held = 0
        for run in range(options.runs):
            pairs = make(np.random.default_rng([number, run]))
            passed += p_value_of_less(pairs, ALLOWED) <= ALPHA / 2
            held += (
                min(p_value_of_less(pairs, truth), p_value_of_less(pairs.swapped(), 1 / truth))
                > ALPHA / 2
            )
        shares = [count / options.runs for count in (passed, held)]
        errors = [math.sqrt(share * (1 - share) / options.runs) for share in shares]
        cells = [f"{s:.3f} ({e:.3f})" for s, e in zip(shares, errors, strict=True)]
        print(f"| {about} | {truth:g} | {' | '.join(cells)} |", flush=True)
        lines.append({"answers": about, "ratio": truth, "passes": shares[0], "held": shares[1],
                      "runs": options.runs})  # fmt: skip
    print()
    report = {**results.header(), "lines": lines}
    results.write(report, options.out or results.FOLDER, "ratios")


if __name__ == "__main__":
    main()
