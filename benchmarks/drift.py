"""Drift: how often it is found where it is, and where it is not; and how fast.

    python -m benchmarks.drift --in-scope FILE --out-of-scope FILE

Both files are JSON lines with a `text` each, plain or gzip (of CLINC150: what users ask a service,
and what it does not cover). 100 times at random, with the default settings:

- one half of the texts in scope is the reference, the other half is new: an alarm is false
- the same of ten columns of numbers and names drawn from one distribution: an alarm is false
- up to 500 new texts of which 5, 10, 20 and 40% are out of scope, none twice: an alarm is right

"p values alone" leaves out the demand on PSI: the stated rate of false alarms must hold without it.
The time is that of one judgement of 5,000 calls beside 5,000. Writes JSON to results/.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
from numpy.random import Generator
from scipy.stats import binomtest

from benchmarks.process_cost import measure
from tasks.model.drift import ColumnDrift
from tasks.settings import DriftSettings
from tasks.watch.judge import Calls, judge

ROOT = Path(__file__).resolve().parent.parent
SHARES = (0.05, 0.1, 0.2, 0.4)
MAX_FALSE_ALARMS = 0.05
MIN_FOUND = 0.95
LIMITS = DriftSettings()


def read_texts(path: Path) -> list[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def texts_only(texts: Sequence[str]) -> Calls:
    return Calls({}, {}, texts)


def halves(texts: Sequence[str], rng: Generator) -> tuple[list[str], list[str]]:
    order = rng.permutation(len(texts)).tolist()
    middle = len(texts) // 2
    return [texts[i] for i in order[:middle]], [texts[i] for i in order[middle:]]


def mixed(inside: Sequence[str], outside: Sequence[str], share: float, rng: Generator) -> list[str]:
    """Texts of which `share` are of `outside`, none twice; as many as both allow, at most 500."""
    total = min(500, int(len(outside) / share))
    num_outside = round(total * share)
    chosen = rng.permutation(len(outside))[:num_outside].tolist()
    return [*inside[: total - num_outside], *(outside[i] for i in chosen)]


def drawn(count: int, rng: Generator) -> Calls:
    """Calls of which nothing depends on the draw but chance: ten columns and no texts."""
    numbers = {
        "input_tokens": rng.poisson(300, count),
        "output_tokens": rng.geometric(0.01, count),
        "latency_s": rng.lognormal(0, 1, count),
        "ttft_s": np.where(rng.random(count) < 0.3, np.nan, rng.exponential(1, count)),
        "retries": rng.binomial(2, 0.02, count),
    }
    categories = {
        "model": rng.choice(["a", "b", "c"], p=[0.9, 0.09, 0.01], size=count),
        "status": rng.choice(["ok", "error"], p=[0.99, 0.01], size=count),
        "finish_reason": rng.choice(["stop", "length"], p=[0.8, 0.2], size=count),
        "release": rng.integers(0, 200, count).astype(str),
        "error_type": rng.choice(["timeout", "rate"], size=count),
    }
    return Calls(
        {name: values.astype(float) for name, values in numbers.items()},
        {name: values.tolist() for name, values in categories.items()},
        [None] * count,
    )


def raises_alarm(found: Sequence[ColumnDrift]) -> bool:
    return any(column.is_alarm for column in found)


def is_significant(found: Sequence[ColumnDrift]) -> bool:
    """By the p values alone: the stated rate is theirs, whatever PSI asks besides."""
    rate = LIMITS.false_alarm_rate
    return any(column.adjusted_p is not None and column.adjusted_p <= rate for column in found)


def trials(
    inside: Sequence[str], outside: Sequence[str], repeats: int
) -> Iterator[dict[str, bool | float]]:
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        reference, rest = halves(inside, rng)
        found = judge(texts_only(reference), texts_only(rest), LIMITS, rng)
        trial: dict[str, bool | float] = {
            "unchanged": raises_alarm(found), "unchanged, p values alone": is_significant(found)
        }  # fmt: skip
        columns = judge(drawn(1_000, rng), drawn(1_000, rng), LIMITS, rng)
        trial |= {
            "ten columns unchanged": raises_alarm(columns),
            "ten columns unchanged, p values alone": is_significant(columns),
        }
        for share in SHARES:
            new = mixed(rest, outside, share, rng)
            found = judge(texts_only(reference), texts_only(new), LIMITS, rng)
            trial[f"{share:.0%} out of scope"] = raises_alarm(found)
        yield trial


def largest_judgement(inside: Sequence[str]) -> float:
    """Seconds for as many calls as the settings allow on both sides."""
    rng = np.random.default_rng(0)
    size = LIMITS.max_rows

    def side() -> Calls:
        calls = drawn(size, rng)
        texts = [
            f"{inside[i]} {number}" for number, i in enumerate(rng.integers(0, len(inside), size))
        ]
        return Calls(calls.numbers, calls.categories, texts)

    before, after = side(), side()
    return measure(lambda: judge(before, after, LIMITS, rng) and None).seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--in-scope", type=Path, required=True)
    parser.add_argument("--out-of-scope", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    inside, outside = read_texts(options.in_scope), read_texts(options.out_of_scope)
    done = list(trials(inside, outside, options.repeats))
    counts = {name: sum(bool(trial[name]) for trial in done) for name in done[0]}
    print("| new calls | alarms | of | 95% interval |\n|---|---|---|---|")
    lines: list[dict[str, Any]] = []
    for name, count in counts.items():
        low, high = binomtest(count, len(done)).proportion_ci()
        print(f"| {name} | {count} | {len(done)} | {low:.1%} to {high:.1%} |")
        lines.append({"new": name, "alarms": count, "of": len(done), "ci": [low, high]})
    seconds = largest_judgement(inside)
    print(f"\n{LIMITS.max_rows:,} new calls beside as many: {seconds:.1f} s")
    few = counts["unchanged"] <= MAX_FALSE_ALARMS * len(done)
    found = counts["20% out of scope"] >= MIN_FOUND * len(done)
    print(f"false alarms at most {MAX_FALSE_ALARMS:.0%}: {'yes' if few else 'no'}; "
          f"20% found at least {MIN_FOUND:.0%}: {'yes' if found else 'no'}")  # fmt: skip
    from benchmarks import results

    report = {**results.header(), "limits": {
        "false_alarm_rate": LIMITS.false_alarm_rate, "min_psi": LIMITS.min_psi,
        "min_rows": LIMITS.min_rows,
    }, "lines": lines, "seconds_for_the_largest": seconds}  # fmt: skip
    results.write(report, options.out, "drift")


if __name__ == "__main__":
    main()
