"""How well `flywheel explain` finds what each part makes of a difference: by simulation.

    python -m benchmarks.explain                 500 runs of every line
    python -m benchmarks.explain --runs 100

Every sample is of a kind, of which it is known what prompt and engine do to it, alone and together;
the set is drawn from the kinds, and the very functions of the command choose which samples are
asked, weigh them and split. Prints a table and writes JSON to results/.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from benchmarks.results import FOLDER, header
from tasks.explain.drawing import draw
from tasks.explain.estimate import clusters_of, split
from tasks.explain.shapley import shapley_values
from tasks.model.answer import Answer, JudgedSample
from tasks.model.sample import Sample

#: share of samples, scores of the combinations: none, prompt, engine, both of the challenger
KINDS = (
    (0.62, (1, 1, 1, 1)),
    (0.20, (0, 0, 0, 0)),
    (0.10, (1, 0, 1, 0)),  # the prompt breaks it
    (0.02, (1, 1, 0, 0)),  # the engine breaks it
    (0.03, (1, 1, 1, 0)),  # only both do
    (0.02, (0, 1, 0, 1)),  # the prompt mends it
    (0.01, (1, 0, 1, 1)),  # the prompt breaks it and the engine mends it: no change of score
)
SHARES = np.array([share for share, _ in KINDS])
CELLS = np.array([cells for _, cells in KINDS], dtype=np.float64)
ALPHA, UNSEEN_LOSS = 0.05, 0.25
#: samples of the set, samples asked of each kind at most
SIZES = ((300, 200), (800, 100), (800, 40), (2000, 200))


@dataclass(frozen=True, slots=True)
class Line:
    """Of the prompt, in points: `bias` and `error` (one standard deviation) against all samples of
    the set; shares of the intervals that hold what the set, and its traffic, would say."""

    num_samples: int
    limit: int
    bias: float
    error: float
    half_width: float
    holds_set: float
    holds_traffic: float


def simulated(num_samples: int, limit: int, runs: int) -> Line:
    random = np.random.default_rng(7)
    of_traffic = float((SHARES @ shapley_values(CELLS, 2))[0])
    found = np.array([_one(random, num_samples, limit) for _ in range(runs)])
    value, low, high, of_set = found.T
    return Line(
        num_samples,
        limit,
        bias=float(100 * (value - of_set).mean()),
        error=float(100 * (value - of_set).std()),
        half_width=float(50 * (high - low).mean()),
        holds_set=float(((low <= of_set) & (of_set <= high)).mean()),
        holds_traffic=float(((low <= of_traffic) & (of_traffic <= high)).mean()),
    )


def _one(
    random: np.random.Generator, num_samples: int, limit: int
) -> tuple[float, float, float, float]:
    scores = CELLS[random.choice(len(KINDS), num_samples, p=SHARES)]
    drawn = draw([_judged(n, row) for n, row in enumerate(scores)], limit)
    rows = [int(item.sample.sample_id) for item in drawn.samples]
    weights = drawn.weights(np.ones(len(rows), dtype=np.bool_))
    clusters = clusters_of(drawn.samples)
    prompt = split(scores[rows], clusters, weights, ALPHA, UNSEEN_LOSS).parts[0]
    assert prompt.interval is not None
    of_set = float(shapley_values(scores, 2)[:, 0].mean())
    return prompt.value, prompt.interval.low, prompt.interval.high, of_set


def _judged(number: int, row: np.ndarray) -> JudgedSample:
    sample = Sample(str(number), "suite", None, (), None, "", "gold", "suite",
                    cluster_id=str(number))  # fmt: skip
    ends = {"champion": (Answer(float(row[0])),), "challenger": (Answer(float(row[-1])),)}
    return JudgedSample(sample, ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    print(
        "| samples | asked of each kind | bias | error | half width | holds set | holds traffic |"
    )
    print("|---|---|---|---|---|---|---|")
    lines = []
    for num_samples, limit in SIZES:
        line = simulated(num_samples, limit, runs)
        lines.append(asdict(line))
        print(f"| {num_samples:,} | {limit} | {line.bias:+.2f} | {line.error:.2f} "
              f"| {line.half_width:.1f} | {line.holds_set:.3f} | {line.holds_traffic:.3f} |",
              flush=True)  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "explain.json").write_text(
        json.dumps({**header(), "runs": runs, "lines": lines}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
