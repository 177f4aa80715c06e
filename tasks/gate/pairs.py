"""From judged samples to the arrays that statistics take, and to denominators. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.model.answer import Answer, JudgedSample
from tasks.model.verdict import Tally
from tasks.statistics.paired import Pairs


def tally(answers: Sequence[tuple[Answer, ...]]) -> Tally:
    """A sample is missing if any repeat is, else unscored if any repeat is."""
    num_missing = sum(any(answer.is_missing for answer in repeats) for repeats in answers)
    num_lacking = sum(any(answer.value is None for answer in repeats) for repeats in answers)
    return Tally(len(answers) - num_lacking, num_missing, num_lacking - num_missing)


def pairs_of(judged: Sequence[JudgedSample]) -> Pairs:
    """The samples as arrays. Raises ValueError on a sample without a cluster id: without it the
    samples would silently count as independent."""
    for item in judged:
        if not item.sample.cluster_id:
            raise ValueError(f"sample {item.sample.sample_id} has no cluster id")
    _, clusters = np.unique([item.sample.cluster_id for item in judged], return_inverse=True)
    return Pairs(
        first=np.array([item.score("champion") for item in judged], dtype=np.float64),
        second=np.array([item.score("challenger") for item in judged], dtype=np.float64),
        difference=np.array([item.difference() for item in judged], dtype=np.float64),
        clusters=np.asarray(clusters, dtype=np.int64).reshape(-1),
    )
