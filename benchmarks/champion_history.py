"""What the champion's answers of earlier runs would be worth as a control variate.

    python -m benchmarks.champion_history                 1,000 runs of every case, some minutes
    python -m benchmarks.champion_history --runs 200

A champion that samples has answered the same samples under other seeds before. Its score of this
run minus its mean over those seeds has expectation 0, so any multiple of it may be added to the
difference; with equal variances the best one puts the mean over all its answers in the place of its
score. Measured here by the gate's own interval, beside what it competes with: two answers a sample
of both releases, of which the champion's second is in the store as well. Prints a table and writes
JSON to results/. The gate does not use it; docs/statistics.md says why.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.results import FOLDER, header
from tasks.statistics.paired import Pairs, compare, p_value_of_loss

ALPHA, MARGIN, UNSEEN_LOSS = 0.05, 0.05, 0.25
COUNT = 400
#: how a sample's chance to be answered right scatters: Beta(a, b)
KINDS = {"noisy": (1.0, 1.0), "usual": (0.4, 0.2), "firm": (0.1, 0.05)}
#: name → answers a sample of the champion, of the challenger
WAYS = {
    "one answer": (1, 1),
    "1 past seed": (2, 1),
    "3 past seeds": (4, 1),
    "7 past seeds": (8, 1),
    "two answers of both": (2, 2),
}
Scores = NDArray[np.float64]


def chances(draw: Generator, kind: str, loss: float) -> tuple[Scores, Scores]:
    """Of champion and challenger to answer each sample right. They find the same samples hard, but
    for one in five; the challenger is worse by `loss` on average."""
    a, b = KINDS[kind]
    old = draw.beta(a, b, COUNT)
    other = np.where(draw.random(COUNT) < 0.2, draw.beta(a, b, COUNT), old)
    return old, other * (1 - loss * (a + b) / a)


def judge(old: Scores, new: Scores, loss: float) -> dict[str, float]:
    """What the gate's interval makes of answers [repeats, COUNT] of both."""
    difference = new.mean(axis=0) - old.mean(axis=0)
    pairs = Pairs(difference, np.arange(COUNT), np.ones(COUNT), len(old) == len(new) == 1)
    interval = compare(pairs, ALPHA, UNSEEN_LOSS).interval
    mirrored = compare(pairs.swapped(), ALPHA, UNSEEN_LOSS).interval
    asymmetry = max(abs(interval.low + mirrored.high), abs(interval.high + mirrored.low))
    return {
        "error": pairs.difference.mean() + loss,
        "standard_error": float(difference.std(ddof=1)) / COUNT**0.5,
        "covered": interval.low <= -loss <= interval.high,
        "passes": interval.low > -MARGIN,
        "worse": p_value_of_loss(pairs, 0.0, UNSEEN_LOSS) <= ALPHA / 2,
        "changed": float((np.abs(difference) > 1e-9).mean()),
        "asymmetry": asymmetry,
    }


def simulate(kind: str, loss: float, runs: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(20)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(runs):
        old_chance, new_chance = chances(draw, kind, loss)
        old = (draw.random((8, COUNT)) < old_chance).astype(np.float64)
        new = (draw.random((2, COUNT)) < new_chance).astype(np.float64)
        for way, (num_old, num_new) in WAYS.items():
            found[way].append(judge(old[:num_old], new[:num_new], loss))
    rows: list[dict[str, Any]] = []
    for way, judged in found.items():
        means = {name: float(np.mean([run[name] for run in judged])) for name in judged[0]}
        means["spread"] = float(np.std([run["error"] for run in judged]))
        means["asymmetry"] = max(run["asymmetry"] for run in judged)
        rows.append({"kind": kind, "loss": loss, "way": way, **means})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    shown = {"error": 4, "spread": 4, "standard_error": 4,
             "covered": 3, "passes": 3, "worse": 3, "changed": 3}  # fmt: skip
    print(f"| scores | true loss | answers | {' | '.join(shown)} |".replace("_", " "))
    print("|---|--:|---|" + "--:|" * len(shown))
    for kind in KINDS:
        for loss in (0.0, MARGIN):
            for row in simulate(kind, loss, options.runs):
                rows.append(row)
                cells = " | ".join(f"{row[name]:.{digits}f}" for name, digits in shown.items())
                print(f"| {kind} | {loss} | {row['way']} | {cells} |", flush=True)
    asymmetry = max(row["asymmetry"] for row in rows)
    print(f"largest asymmetry under a swap of the releases: {asymmetry:.1e}")
    FOLDER.mkdir(exist_ok=True)
    result = {**header(), "runs": options.runs, "samples": COUNT, "rows": rows}
    (FOLDER / "champion_history.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
