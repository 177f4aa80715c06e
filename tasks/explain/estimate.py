"""From the scores of every combination to parts, interactions and cells with their intervals. Pure.

Every number is a weighted mean of something a sample has of its own: its difference, its Shapley
values, its interaction of two parts. So each gets the interval that the gate gives a paired
difference, by clusters, and the parts add up to the difference to the last bit but rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tasks.explain.shapley import interaction_index, shapley_values
from tasks.model.answer import JudgedSample
from tasks.model.comparison import Interval
from tasks.model.explanation import Amount
from tasks.statistics.intervals import Labels, Values, labels_of
from tasks.statistics.paired import Pairs, compare


@dataclass(frozen=True, slots=True)
class Split:
    """`parts` in the order of the grid, `interactions` of its pairs in that of `combinations`,
    `means` of its cells."""

    difference: Amount
    parts: tuple[Amount, ...]
    interactions: tuple[Amount, ...]
    means: tuple[float, ...]


def split(
    scores: Values, clusters: Labels, weights: Values, alpha: float, unseen_loss: float
) -> Split:
    """scores: [num_samples, 2^num_parts] float64 in [0, 1], without NaN; clusters: [num_samples]
    int64; weights: [num_samples] float64, positive. Intervals are at 1 - alpha, those of the
    interactions all together (Bonferroni): what is said of one is picked from them."""
    num_parts = scores.shape[1].bit_length() - 1

    def amount(values: Values, level: float, most: float = 1.0) -> Amount:
        pairs = Pairs(np.clip(values / most, -1, 1), clusters, weights, is_binary=False)
        return amount_of(pairs, level, unseen_loss, most)

    contributions = shapley_values(scores, num_parts)
    both = list(combinations(range(num_parts), 2))
    return Split(
        difference=amount(scores[:, -1] - scores[:, 0], alpha),
        parts=tuple(amount(contributions[:, part], alpha) for part in range(num_parts)),
        interactions=tuple(
            amount(interaction_index(scores, num_parts, *pair), alpha / len(both), most=2.0)
            for pair in both
        ),
        means=tuple(float(mean) for mean in np.average(scores, axis=0, weights=weights)),
    )


def difference_of(items: Sequence[JudgedSample], alpha: float, unseen_loss: float) -> Amount:
    """The run's own difference on samples of which all is known, as the gate tells it."""
    scores = np.array([[item.score("champion"), item.score("challenger")] for item in items])
    weights = np.array([item.sample.weight for item in items], dtype=np.float64)
    pairs = Pairs(
        scores[:, 1] - scores[:, 0],
        clusters_of(items),
        weights,
        is_binary=bool(np.isin(scores, (0.0, 1.0)).all()),
        draws=np.array([item.sample.num_draws for item in items], dtype=np.float64),
    )
    return amount_of(pairs, alpha, unseen_loss)


def amount_of(pairs: Pairs, alpha: float, unseen_loss: float, most: float = 1.0) -> Amount:
    """Of differences that were divided by `most`, to lie in [-1, 1]."""
    if not pairs.is_comparable:
        return Amount(most * float(np.average(pairs.difference, weights=pairs.weights)), None)
    found = compare(pairs, alpha, unseen_loss)
    ends = Interval(most * found.interval.low, most * found.interval.high)
    return Amount(most * found.difference, ends)


def clusters_of(items: Sequence[JudgedSample]) -> Labels:
    return labels_of([item.sample.cluster_id for item in items])
