"""Intervals by judge and labels together (PPI++): how often they hold the truth, and how wide.

A suite of paired differences of which a few are labelled by people, with judges that are right to
different degrees; beside it the labels alone. Nothing is generated.

    python -m benchmarks.judges
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from tasks.statistics.ppi import Part, ppi_mean

FOLDER = Path(__file__).resolve().parent / "results"
TRUTH = {-1.0: 0.15, 0.0: 0.65, 1.0: 0.20}
#: share of samples on which the judge says something drawn anew; a bias is added to all it says
JUDGES = {
    "right": (0.0, 0.0),
    "good": (0.1, 0.0),
    "good, biased": (0.1, 0.3),
    "poor": (0.5, 0.0),
    "tells nothing": (1.0, 0.0),
    "against people": (-1.0, 0.0),
}
ALPHA = 0.05


def simulate(
    wrong: float, bias: float, num_labelled: int, num: int, a_cluster: int, draws: int, seed: int
) -> dict[str, float]:
    """`a_cluster`: samples that have one truth and one verdict of the judge in common."""
    rng = np.random.default_rng(seed)
    values, chances = np.array(list(TRUTH)), np.array(list(TRUTH.values()))
    mean = float(values @ chances)
    held = held_alone = 0
    width = alone = 0.0
    power = []
    for _ in range(draws):
        num_clusters = -(-num // a_cluster)
        truth = rng.choice(values, p=chances, size=num_clusters)
        drawn = rng.choice(values, p=chances, size=num_clusters)
        judge = -truth if wrong < 0 else np.where(rng.random(num_clusters) < wrong, drawn, truth)
        truth, judge = (np.repeat(part, a_cluster)[:num] for part in (truth, judge))
        judge = np.clip(judge + bias, -1, 1)
        clusters = np.repeat(np.arange(num_clusters), a_cluster)[:num]
        first = Part(judge[:num_labelled], np.ones(num_labelled), clusters[:num_labelled])
        rest = Part(judge[num_labelled:], np.ones(num - num_labelled), clusters[num_labelled:])
        found = ppi_mean(truth[:num_labelled], first, rest, ALPHA)
        held += found.interval.low <= mean <= found.interval.high
        width += found.interval.high - found.interval.low
        power.append(found.power)
        own = truth[:num_labelled:a_cluster]
        half = float(t.ppf(1 - ALPHA / 2, len(own) - 1)) * own.std(ddof=1) / len(own) ** 0.5
        held_alone += abs(own.mean() - mean) <= half
        alone += 2 * half
    return {
        "coverage": held / draws,
        "width": width / draws,
        "coverage_of_labels_alone": held_alone / draws,
        "width_of_labels_alone": alone / draws,
        "power": float(np.mean(power)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000)
    asked = parser.parse_args()
    started = time.monotonic()
    found: list[dict[str, Any]] = []
    print(
        "judge            labelled  of  a cluster   coverage   width  labels alone: coverage, width"
    )
    for name, (wrong, bias) in JUDGES.items():
        for num_labelled, num, a_cluster in ((50, 500, 1), (200, 1000, 1), (200, 1000, 2)):
            got = simulate(wrong, bias, num_labelled, num, a_cluster, asked.draws, 7)
            found.append({
                "judge": name, "labelled": num_labelled, "samples": num, "a_cluster": a_cluster,
                **got,
            })  # fmt: skip
            print(
                f"{name:16} {num_labelled:8} {num:4} {a_cluster:9} {got['coverage']:10.1%} "
                f"{got['width']:8.3f} {got['coverage_of_labels_alone']:14.1%} "
                f"{got['width_of_labels_alone']:12.3f}",
                flush=True,
            )
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.judges", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "draws": asked.draws,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "seconds": round(time.monotonic() - started, 1),
        "found": found,
    }
    (FOLDER / "judges.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
