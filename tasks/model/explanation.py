"""Where the difference between the two releases of a run comes from, as it was split.

Made by tasks/explain; terminal, page and `--json` show it. The keys of its JSON are part of the
interface of `flywheel explain --json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.model.comparison import Interval


@dataclass(frozen=True, slots=True)
class Amount:
    """A difference of mean scores; no interval below two clusters."""

    value: float
    interval: Interval | None

    def to_json(self) -> dict[str, float | None]:
        ends = self.interval
        return {
            "difference": self.value,
            "ci_low": None if ends is None else ends.low,
            "ci_high": None if ends is None else ends.high,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """A part in which the releases differ, and its Shapley value. `share` of the whole difference:
    may be negative or above 1, and is None where the whole is nothing."""

    name: str
    before: str
    after: str
    amount: Amount
    share: float | None


@dataclass(frozen=True, slots=True)
class Interaction:
    """What two parts do together beyond what each does without the other, whatever the others are.
    `is_certain`: its interval, corrected for the number of pairs, leaves out 0."""

    parts: tuple[str, str]
    amount: Amount

    @property
    def is_certain(self) -> bool:
        ends = self.amount.interval
        return ends is not None and (ends.low > 0 or ends.high < 0)


@dataclass(frozen=True, slots=True)
class Cell:
    """The champion with these parts of the challenger, and its mean score."""

    parts: tuple[str, ...]
    release_digest: str
    score: float


@dataclass(frozen=True, slots=True)
class Used:
    """Which samples it rests on. `num_flips` of the run changed their score and `num_others` did
    not; of those `num_flips_drawn` and `num_others_drawn` were answered by every combination. Of
    `num_unknown` more the run itself has an answer that nobody knows, of `num_lost` of those drawn
    a combination has: they do not count."""

    num_flips: int
    num_others: int
    num_flips_drawn: int = 0
    num_others_drawn: int = 0
    num_unknown: int = 0
    num_lost: int = 0

    @property
    def num_counted(self) -> int:
        return self.num_flips_drawn + self.num_others_drawn - self.num_lost


@dataclass(frozen=True, slots=True)
class Explanation:
    """`difference`: the run's own, of all its samples; `estimate`: the same from the samples used,
    which is what `parts` add up to. `cells` is empty where nothing had to be split."""

    run_id: str
    champion: str
    challenger: str
    suites: tuple[str, ...]
    confidence: float
    difference: Amount
    estimate: Amount
    parts: tuple[Part, ...]
    interactions: tuple[Interaction, ...]
    cells: tuple[Cell, ...]
    used: Used
    num_computed: int
    num_cached: int
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        used = self.used
        return {
            "run_id": self.run_id,
            "champion": self.champion,
            "challenger": self.challenger,
            "suites": list(self.suites),
            "confidence": self.confidence,
            **self.difference.to_json(),
            "estimate": self.estimate.to_json(),
            "parts": [
                {"part": part.name, "from": part.before, "to": part.after,
                 **part.amount.to_json(), "share": part.share}
                for part in self.parts
            ],
            "interactions": [
                {"parts": list(both.parts), **both.amount.to_json(), "is_certain": both.is_certain}
                for both in self.interactions
            ],
            "cells": [
                {"parts": list(cell.parts), "release_digest": cell.release_digest,
                 "score": cell.score}
                for cell in self.cells
            ],
            "num_flips": used.num_flips,
            "num_others": used.num_others,
            "num_flips_drawn": used.num_flips_drawn,
            "num_others_drawn": used.num_others_drawn,
            "num_unknown": used.num_unknown,
            "num_lost": used.num_lost,
            "computed": self.num_computed,
            "cached": self.num_cached,
            "sentences": list(self.sentences),
        }  # fmt: skip
