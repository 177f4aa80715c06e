"""What samples are worth as evidence, before and whatever their answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from tasks.model.sample import Sample
from tasks.statistics.intervals import ClusteredMean, clustered_mean, labels_of


def as_answered(samples: Iterable[Sample], *, is_sampled: bool) -> list[Sample]:
    """The samples with the draws that their answers are worth: where any release samples its
    answers, a question that a thousand conversations asked was still answered by one draw, and what
    that draw is off does not average out over them."""
    if not is_sampled:
        return list(samples)
    return [replace(sample, num_draws=1.0) for sample in samples]


def worth_of(samples: Sequence[Sample]) -> ClusteredMean:
    """Their sizes, of which only mean and error are left open. Raises ValueError below two
    clusters."""
    return clustered_mean(
        np.zeros(len(samples)),
        labels_of([sample.cluster_id for sample in samples]),
        np.array([sample.weight for sample in samples]),
        np.array([sample.num_draws for sample in samples]),
    )
