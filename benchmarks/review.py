"""Labels of people: does the interval of the difference hold the truth, and what is it worth?

    python -m benchmarks.review                    1,000 lives a row

Made suites of 120 samples with unequal weights, of two releases that are truly right 70% and 80% of
the time; the scorer tells the truth with some accuracy, and a person looks at the first pairs of
the order of review and always tells it. The truth is that of the traffic, 10 points. Beside it what
as many labels say alone, where the scorer tells no answers apart, and what the scorer says alone.
Writes results/review.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.results import FOLDER, header, write
from tasks.model.answer import Answer, JudgedSample
from tasks.model.comparison import Interval
from tasks.model.sample import Sample
from tasks.review import estimate
from tasks.review.labels import Label, answer_digest, latest
from tasks.review.queue import queue
from tasks.statistics.intervals import clustered_mean, t_interval

TRUTH, ALPHA, NUM_SAMPLES = 0.1, 0.05, 120
TEXTS = ("old", "new")


def make_item(
    name: str, scores: tuple[float, float], texts: tuple[str, str], weight: float = 1.0
) -> JudgedSample:
    sample = Sample(
        sample_id=name, suite="route", task="route", messages=(), system=None, target="t",
        target_kind="gold", origin="suite", cluster_id=name, weight=weight,
    )  # fmt: skip
    old, new = (Answer(value, text=text) for value, text in zip(scores, texts, strict=True))
    return JudgedSample(sample, {"champion": (old,), "challenger": (new,)})


def make_label(sample_id: str, text: str, value: float | None, by: str = "ada") -> Label:
    return Label(sample_id, answer_digest(text), value, by, "2026-11-30T10:00:00Z")


def make_life(
    life: int, draw: np.random.Generator, accuracy: float
) -> tuple[list[JudgedSample], dict[str, tuple[float, float]]]:
    """Samples, and by their ids what is true of champion and challenger."""
    items, truths = [], {}
    for number, weight in enumerate(draw.lognormal(0, 0.6, NUM_SAMPLES)):
        right = (float(draw.random() < 0.7), float(draw.random() < 0.8))
        is_same = right[0] == right[1] and draw.random() < 0.4
        first = right[0] if draw.random() < accuracy else 1 - right[0]
        second = right[1] if draw.random() < accuracy else 1 - right[1]
        scores = (first, first if is_same else second)
        texts = ("the same", "the same") if is_same else TEXTS
        name = f"{life}-{number}"
        items.append(make_item(name, scores, texts, float(weight)))
        truths[name] = right
    return items, truths


def looked_at(
    items: list[JudgedSample], truths: Mapping[str, tuple[float, float]], num: int
) -> estimate.ByPeople:
    """What the suite comes to once a person has looked at the first pairs of the order."""
    labels = latest(
        make_label(pair.item.sample.sample_id, text, truths[pair.item.sample.sample_id][place])
        for pair in queue(items)[:num]
        for place, text in enumerate(TEXTS)
    )
    return estimate.by_people(items, labels, ALPHA)["route"]


def by_scorer(items: list[JudgedSample]) -> Interval:
    values = np.array([item.difference() or 0.0 for item in items])
    weights = np.array([item.sample.weight for item in items])
    return t_interval(clustered_mean(values, np.arange(len(items)), weights), ALPHA)


def without_scorer(items: list[JudgedSample]) -> list[JudgedSample]:
    """The same answers, all scored alike: labels speak alone, and the order is by weight."""
    return [
        replace(item, answers={r: tuple(replace(a, value=0.5) for a in item.answers[r])
                               for r in item.answers})
        for item in items
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lives", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=FOLDER / "review.json")
    options = parser.parse_args()
    print("| scorer is right | pairs looked at | mean error | the interval holds the truth | its "
          "width | labels alone | the scorer alone holds the truth |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    rows = []
    for accuracy in (0.95, 0.8, 0.6):
        for num in (30, 50):
            draw, found, alone, scorer = np.random.default_rng(1), [], [], []
            for life in range(options.lives):
                items, truths = make_life(life, draw, accuracy)
                found.append(looked_at(items, truths, num))
                alone.append(looked_at(without_scorer(items), truths, num))
                scorer.append(by_scorer(items))
            ends = [part.interval for part in found if part.interval is not None]
            row = {
                "accuracy": accuracy,
                "num_pairs": num,
                "mean_error": float(np.mean([part.difference for part in found])) - TRUTH,
                "coverage": float(np.mean([holds(part) for part in ends])),
                "width": float(np.mean([part.high - part.low for part in ends])),
                "width_of_labels_alone": float(
                    np.mean([p.interval.high - p.interval.low for p in alone if p.interval])
                ),
                "coverage_of_scorer": float(np.mean([holds(part) for part in scorer])),
            }
            rows.append(row)
            print("| " + " | ".join(f"{value:.3g}" for value in row.values()) + " |", flush=True)
    told = {"lives": options.lives, "samples": NUM_SAMPLES, "truth": TRUTH, "rows": rows}
    write({**header(), **told}, options.out, "review")


def holds(interval: Interval) -> bool:
    return interval.low <= TRUTH <= interval.high


if __name__ == "__main__":
    main()
