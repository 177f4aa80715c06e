"""From a score as it stood in a file to 0 to 1, or why it is none. Nothing is clipped or guessed.

The scale is a range that somebody declared, from what counts 0 to what counts 1; without one it is
0 to 1, and a score outside it is refused, since a gate on another scale would pass anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tasks.errors import UsageError

#: how tools spell a judgement
_WORDS = {"true": 1.0, "yes": 1.0, "pass": 1.0, "false": 0.0, "no": 0.0, "fail": 0.0}


@dataclass(frozen=True, slots=True)
class Scale:
    """`worst` counts 0 and `best` 1; where less is better, worst is the larger. Raises
    UsageError where they are the same or not finite."""

    worst: float = 0.0
    best: float = 1.0

    def __post_init__(self) -> None:
        if self.worst == self.best or not math.isfinite(self.best - self.worst):
            raise UsageError(
                "--range wants two numbers: the score that counts 0, then the one that counts 1",
                received=f"{self.worst:g} {self.best:g}",
                next="such as --range 0 100, or --range 100 0 where less is better",
            )

    @property
    def is_plain(self) -> bool:
        return (self.worst, self.best) == (0.0, 1.0)

    def holds(self, value: float) -> bool:
        return min(self.worst, self.best) <= value <= max(self.worst, self.best)

    def of(self, value: float) -> float:
        return value if self.is_plain else (value - self.worst) / (self.best - self.worst)


def number(value: Any) -> float | str:
    """A finite number, or the reason why it is none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return "there is no score"
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _WORDS:
            return _WORDS[word]
        try:
            value = float(word)
        except ValueError:
            return f"the score {value[:40]!r} is not a number"
    if not isinstance(value, int | float):
        return f"the score is {type(value).__name__}, not a number"
    try:
        found = float(value)
    except OverflowError:
        return "the score is not finite"
    return found if math.isfinite(found) else f"the score is {found}"


def refuse_outside(values: Iterable[Any], scale: Scale, what: str, source: str) -> None:
    """Raises UsageError where a number lies outside the scale."""
    numbers = [found for found in map(number, values) if isinstance(found, float)]
    outside = [found for found in numbers if not scale.holds(found)]
    if not outside:
        return
    low, high = sorted((scale.worst, scale.best))
    raise UsageError(
        f"scores of {what} lie outside {low:g} to {high:g}",
        received=f"{min(numbers):g} to {max(numbers):g} in {source}",
        allowed=f"{low:g} to {high:g}",
        next="say which score counts 0 and which 1: --range WORST BEST, such as --range 0 100",
    )
