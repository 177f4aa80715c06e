"""Near-duplicates: what is found among generated texts whose likeness is known, and how fast.

    python -m benchmarks.near_duplicates                    1,000,000 texts of 8 to 30 words

Every tenth text is a copy of the one before it with some words changed at random, so that the
pairs lie on both sides of the threshold. What a pair truly is, is computed here with plain sets of
words, not with the code that is measured. Recall: of the pairs at least as alike as the threshold,
how many are in one group. Precision: of all pairs that are in one group, how many are that alike.
The time leaves generation out; the memory has the texts in it. Writes JSON to results/.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.process_cost import measure
from tasks.curate.dedup import near_duplicate_groups

ROOT = Path(__file__).resolve().parent.parent
JACCARD = 0.8
MIN_RECALL = MIN_PRECISION = 0.95
MAX_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Texts:
    """`copies`: the numbers of an original and of its changed copy."""

    texts: list[str]
    copies: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Found:
    """Copies alike enough, those of them in one group; pairs in one group, those alike enough."""

    alike: int
    alike_and_together: int
    together: int
    together_and_alike: int

    @property
    def recall(self) -> float:
        return self.alike_and_together / self.alike

    @property
    def precision(self) -> float:
        return self.together_and_alike / self.together


def generate(count: int, seed: int = 0) -> Texts:
    draw = random.Random(seed)
    words = ["".join(draw.choices("etaoinshrdlucmfwypvbgk", k=draw.randint(2, 10)))
             for _ in range(20_000)]  # fmt: skip
    texts: list[str] = []
    copies = []
    previous: list[str] = []
    for number in range(count):
        if number % 10 == 9:
            picked = _changed(previous, words, draw)
            copies.append((number - 1, number))
        else:
            picked = draw.choices(words, k=draw.randint(8, 30))
        texts.append(" ".join(picked))
        previous = picked
    order = list(range(count))
    draw.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    return Texts([texts[old] for old in order], [(place[a], place[b]) for a, b in copies])


def _changed(words: list[str], vocabulary: list[str], draw: random.Random) -> list[str]:
    """Up to three words put in another's place, left out or added, most often at the end."""
    changed = list(words)
    for _ in range(draw.randint(1, 3)):
        place = draw.choice((0, len(changed) - 1, len(changed) - 1, draw.randrange(len(changed))))
        how = draw.choice(("replace", "drop", "add"))
        if how == "drop":
            del changed[place]
        elif how == "add":
            changed.insert(place + 1, draw.choice(vocabulary))
        else:
            changed[place] = draw.choice(vocabulary)
    return changed


def jaccard(one: str, other: str) -> float:
    """Of the sets of three words after one another."""
    first, second = _threes(one), _threes(other)
    return len(first & second) / len(first | second)


def _threes(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return set(zip(words, words[1:], words[2:], strict=False))


def compare(texts: Texts, groups: Sequence[int]) -> Found:
    alike = [pair for pair in texts.copies if jaccard(*(texts.texts[i] for i in pair)) >= JACCARD]
    members = defaultdict(list)
    for number, group in enumerate(groups):
        members[group].append(number)
    together = [pair for group in members.values() for pair in combinations(group, 2)]
    return Found(
        alike=len(alike),
        alike_and_together=sum(groups[a] == groups[b] for a, b in alike),
        together=len(together),
        together_and_alike=sum(
            jaccard(texts.texts[a], texts.texts[b]) >= JACCARD for a, b in together
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    texts = generate(options.texts)
    groups: list[int] = []

    def work() -> None:
        groups.extend(near_duplicate_groups(texts.texts, JACCARD))

    cost = measure(work)
    found = compare(texts, groups)
    print(
        "| texts | seconds | peak MiB | pairs alike | recall | pairs together | precision |\n"
        "|---|---|---|---|---|---|---|\n"
        f"| {options.texts:,} | {cost.seconds:.1f} | {cost.peak_mib:,.0f} | {found.alike:,} "
        f"| {found.recall:.4f} | {found.together:,} | {found.precision:.4f} |"
    )
    met = found.recall >= MIN_RECALL and found.precision >= MIN_PRECISION
    fast = cost.seconds < MAX_SECONDS
    print(f"\nrecall and precision of at least {MIN_RECALL}: {'yes' if met else 'no'}; "
          f"under {MAX_SECONDS} s: {'yes' if fast else 'no'}")  # fmt: skip
    from benchmarks import results

    report = {
        **results.header(),
        "texts": options.texts,
        "seconds": cost.seconds,
        "processor_s": cost.processor_s,
        "peak_mib": cost.peak_mib,
        "pairs_alike": found.alike,
        "recall": found.recall,
        "pairs_together": found.together,
        "precision": found.precision,
    }
    results.write(report, options.out, "near-duplicates")


if __name__ == "__main__":
    main()
