"""What two releases' scores on the same samples say: an interval, and the comparison around it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval."""

    low: float
    high: float

    def hull(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def clipped(self, low: float, high: float) -> Interval:
        return Interval(min(max(self.low, low), high), max(min(self.high, high), low))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two clusters or more can say of the mean difference.

    `effective_samples`: independent samples of equal weight that would be worth as much.
    """

    difference: float
    interval: Interval
    effective_samples: float
    method: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """What clusters can say of the mean of the challenger over that of the champion. The upper end
    is infinite where the champion's mean cannot be told from 0."""

    ratio: float
    interval: Interval
    effective_samples: float
    method: str


@dataclass(frozen=True, slots=True)
class Look:
    """One point of the curve: after how many samples and clusters, the mean difference (None before
    the first cluster) and the interval that holds at all looks together."""

    num_samples: int
    num_clusters: int
    difference: float | None
    interval: Interval
