"""The samples of a suite or of a slice as arrays, and what they say at both extremes of what is not
known. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.model.answer import JudgedSample, Role
from tasks.model.comparison import Comparison, Interval
from tasks.statistics.intervals import Labels, Values, labels_of
from tasks.statistics.paired import Pairs, compare, p_value_of_loss, release_interval


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of n samples. champion, challenger, weights: [n] float64, scores NaN where nobody knows them;
    draws: [n] float64, independent draws that each is worth; clusters: [n] int64; is_counted: [n]
    bool. `worst` and `best`: [n] float64, the differences if whatever is not known had gone against
    the challenger, or for it; equal where all is known.
    """

    champion: Values
    challenger: Values
    worst: Values
    best: Values
    clusters: Labels
    weights: Values
    draws: Values
    is_counted: NDArray[np.bool_]
    is_binary: bool

    @property
    def num_samples(self) -> int:
        return len(self.weights)

    @property
    def num_clusters(self) -> int:
        return len(np.unique(self.clusters))

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """[n]: whether the difference is known for certain."""
        return np.asarray(self.worst == self.best)

    @property
    def at_worst(self) -> Pairs:
        return self._pairs(self.worst)

    @property
    def at_best(self) -> Pairs:
        return self._pairs(self.best)

    def _pairs(self, difference: Values) -> Pairs:
        return Pairs(difference, self.clusters, self.weights, self.is_binary, self.draws)

    @property
    def is_comparable(self) -> bool:
        return self.at_worst.is_comparable

    def part(self, chosen: NDArray[np.int64]) -> Evidence:
        """The samples at these positions."""
        return Evidence(
            self.champion[chosen],
            self.challenger[chosen],
            self.worst[chosen],
            self.best[chosen],
            self.clusters[chosen],
            self.weights[chosen],
            self.draws[chosen],
            self.is_counted[chosen],
            self.is_binary,
        )

    def with_others(self, others: Evidence) -> Evidence:
        """These samples and others, of other clusters."""
        first = int(self.clusters.max(initial=-1)) + 1
        return Evidence(
            champion=np.r_[self.champion, others.champion],
            challenger=np.r_[self.challenger, others.challenger],
            worst=np.r_[self.worst, others.worst],
            best=np.r_[self.best, others.best],
            clusters=np.r_[self.clusters, first + others.clusters],
            weights=np.r_[self.weights, others.weights],
            draws=np.r_[self.draws, others.draws],
            is_counted=np.r_[self.is_counted, others.is_counted],
            is_binary=self.is_binary and others.is_binary,
        )

    def mean(self, role: Role) -> float | None:
        """Weighted mean score of a release over the samples of which it is known."""
        return _mean(self._scores(role), self.weights)

    def interval(self, role: Role, alpha: float) -> Interval | None:
        """Of that mean; None below two clusters."""
        scores = self._scores(role)
        known = ~np.isnan(scores)
        if len(np.unique(self.clusters[known])) < 2:
            return None
        return release_interval(
            scores[known], self.clusters[known], self.weights[known], alpha, self.draws[known]
        )

    def _scores(self, role: Role) -> Values:
        return self.champion if role == "champion" else self.challenger

    def comparison(self, alpha: float, unseen_loss: float) -> Comparison | None:
        """Difference of the known pairs, with an interval that holds whatever the others are. None
        below two pairs or two clusters, or where nothing is known."""
        difference = _mean(self.challenger - self.champion, self.weights)
        if difference is None or not self.is_comparable:
            return None
        worst = compare(self.at_worst, alpha, unseen_loss)
        best = worst if self.is_known.all() else compare(self.at_best, alpha, unseen_loss)
        return Comparison(
            difference=difference,
            interval=Interval(worst.interval.low, best.interval.high),
            effective_samples=worst.effective_samples,
            method=worst.method,
        )

    def p_value_of_loss(self, value: float, unseen_loss: float) -> float:
        """One-sided p of "the true difference is at least `value`", at the challenger's best."""
        return p_value_of_loss(self.at_best, value, unseen_loss) if self.is_comparable else 1.0

    def p_value_of_gain(self, value: float, unseen_loss: float) -> float:
        """One-sided p of "the true difference is at most `value`", at the challenger's worst."""
        if not self.is_comparable:
            return 1.0
        return p_value_of_loss(self.at_worst.swapped(), -value, unseen_loss)

    def num_tipping(self, margin: float, alpha: float, unseen_loss: float) -> int | None:
        """How many of the samples that are not known may be at their worst, the others at their
        best, before the interval reaches -margin. None where none may, or all may."""
        unknown = np.flatnonzero(~self.is_known)

        def passes(num_worst: int) -> bool:
            difference = self.best.copy()
            difference[unknown[:num_worst]] = self.worst[unknown[:num_worst]]
            return compare(self._pairs(difference), alpha, unseen_loss).interval.low > -margin

        if not self.is_comparable or not len(unknown) or passes(len(unknown)) or not passes(0):
            return None
        low, high = 0, len(unknown)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if passes(middle) else (low, middle)
        return low


def evidence_of(judged: Sequence[JudgedSample]) -> Evidence:
    """The samples as arrays. Raises ValueError on a sample without a cluster id, without which the
    samples would silently count as independent, and on a score outside 0 to 1."""
    for item in judged:
        if not item.sample.cluster_id:
            raise ValueError(f"sample {item.sample.sample_id} has no cluster id")
    scores = np.array(
        [(*item.spread("champion"), *item.spread("challenger")) for item in judged],
        dtype=np.float64,  # a score that is not known becomes NaN
    ).reshape(-1, 6)
    low, high = scores[:, (0, 3)], scores[:, (2, 5)]
    in_range = ((low >= 0) & (high <= 1)).all(axis=1)  # false for NaN too
    if not in_range.all():
        wrong = judged[int(np.argmin(in_range))].sample.sample_id
        raise ValueError(f"a score of sample {wrong} is not in 0 to 1")
    return Evidence(
        champion=scores[:, 1],
        challenger=scores[:, 4],
        worst=low[:, 1] - high[:, 0],
        best=high[:, 1] - low[:, 0],
        clusters=labels_of([item.sample.cluster_id for item in judged]),
        weights=np.array([item.sample.weight for item in judged], dtype=np.float64),
        draws=np.array([item.sample.num_draws for item in judged], dtype=np.float64),
        is_counted=np.array([item.sample.is_counted for item in judged], dtype=np.bool_),
        is_binary=bool(len(judged)) and bool(np.isin([low, high], (0.0, 1.0)).all()),
    )


def _mean(values: Values, weights: Values) -> float | None:
    known = ~np.isnan(values)
    if not known.any():
        return None
    return float(np.average(values[known], weights=weights[known]))
