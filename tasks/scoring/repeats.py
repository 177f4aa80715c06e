"""What repeats have brought to a run's comparison, suite by suite. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.model.answer import ROLES, JudgedSample, Role
from tasks.model.release import Release
from tasks.statistics.intervals import labels_of
from tasks.statistics.repeats import Noise, noise


def answer_noise(
    judged: Sequence[JudgedSample], releases: Mapping[Role, Release]
) -> dict[str, Noise]:
    """Suite → how much of its difference's variance is the releases' own sampling.

    Of the counted samples whose answers are all known, failures with them. Nothing where a sample
    has one answer, where neither release samples, and below two clusters: nothing is known then.
    """
    if not any(releases[role].is_sampled for role in ROLES):
        return {}
    by_suite: dict[str, list[tuple[JudgedSample, list[float]]]] = {}
    for item in judged:
        if not item.sample.is_counted:
            continue
        old, new = ([answer.counted for answer in item.answers[role]] for role in ROLES)
        pairs = [(b, a) for b, a in zip(old, new, strict=True) if b is not None and a is not None]
        if len(pairs) == len(old) > 1:
            known = by_suite.setdefault(item.sample.suite, [])
            known.append((item, [after - before for before, after in pairs]))
    found = {}
    for suite, known in by_suite.items():
        clusters = labels_of([item.sample.cluster_id for item, _ in known])
        if clusters.max() > 0:
            differences = np.array([per_seed for _, per_seed in known])
            weights = np.array([item.sample.weight for item, _ in known])
            found[suite] = noise(differences, clusters, weights)
    return found
