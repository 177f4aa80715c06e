"""Which samples of a run are asked again, and what each then weighs. Pure.

The samples whose score changed tell where the change comes from; among the others, effects of two
parts may cancel, and one that is in the challenger alone may show. Both are drawn by a hash of the
sample, blind to all but whether the score changed, so that a second draw is the first. A drawn
sample stands for those of its kind that were not: its weight over the share of that kind's weight
which was drawn (Horvitz & Thompson 1952, as a ratio within each stratum: Särndal, Swensson &
Wretman 1992). Where all that changed are drawn, the whole difference comes out without any error of
drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.model.answer import JudgedSample, Role
from tasks.statistics.intervals import Values
from tasks.statistics.sequence import random_order

_SEED = "explain"


@dataclass(frozen=True, slots=True)
class Drawn:
    """`population` of the run that is known, and the `flips` and `others` drawn from it."""

    population: tuple[JudgedSample, ...]
    flips: tuple[JudgedSample, ...]
    others: tuple[JudgedSample, ...]

    @property
    def samples(self) -> tuple[JudgedSample, ...]:
        return self.flips + self.others

    def weights(self, is_kept: NDArray[np.bool_]) -> Values:
        """Of the samples kept, [num_kept] float64, 1 on average over the population: is_kept
        [num_samples] bool."""
        drawn = np.array([item.sample.weight for item in self.samples], dtype=np.float64)
        is_flip = np.arange(len(drawn)) < len(self.flips)
        for of_kind, items in ((is_flip, _flips(self.population)),
                               (~is_flip, _others(self.population))):  # fmt: skip
            left = drawn[of_kind & is_kept].sum()
            if left:
                drawn[of_kind] *= sum(item.sample.weight for item in items) / left
        return drawn[is_kept]


def draw(population: Sequence[JudgedSample], limit: int) -> Drawn:
    """At most `limit` samples whose score changed, and at most `limit` others."""
    return Drawn(
        tuple(population),
        _first(_flips(population), limit),
        _first(_others(population), limit),
    )


def is_known(item: JudgedSample, roles: Iterable[Role]) -> bool:
    """Whether it is known what every answer of these releases to the sample counts."""
    return all(answer.counted is not None for role in roles for answer in item.answers[role])


def _flips(population: Sequence[JudgedSample]) -> list[JudgedSample]:
    return [item for item in population if item.is_flip]


def _others(population: Sequence[JudgedSample]) -> list[JudgedSample]:
    return [item for item in population if not item.is_flip]


def _first(items: Sequence[JudgedSample], limit: int) -> tuple[JudgedSample, ...]:
    by_id = {item.sample.sample_id: item for item in items}
    return tuple(by_id[sample_id] for sample_id in random_order(by_id, _SEED)[:limit])
