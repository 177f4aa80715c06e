"""The health of an eval set, from every score that is stored of its samples. Pure.

Which scores are read is decided as for a verdict: by the scorer in the version that counts there,
and a release's own failure counts 0 (tasks/model/answer.py). Whose answers does not matter: of any
run, under any seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.model.health import Flag, SampleHealth, SetHealth, StoredScores, SuiteHealth
from tasks.model.release import Release
from tasks.model.sample import Sample
from tasks.statistics.items import ItemStatistics, Numbers, ScoredAnswers, item_statistics


def set_health(
    samples: Sequence[Sample],
    stored: StoredScores,
    releases: Mapping[str, Release],
    scorers: Mapping[str, str],
) -> SetHealth:
    """`releases`: by digest, all that are stored. `scorers`: suite → the version that counts."""
    by_recipe: dict[str, Release] = {}
    for digest in stored.digests:  # the newest digest names what was made by one recipe
        by_recipe[releases[digest].recipe] = releases[digest]
    places = {recipe: place for place, recipe in enumerate(by_recipe)}
    recipe_of = np.array([places[releases[one].recipe] for one in stored.digests], dtype=np.int64)
    suites = list(dict.fromkeys(sample.suite for sample in samples))
    group = np.array([suites.index(sample.suite) for sample in samples], dtype=np.int64)
    found = item_statistics(
        ScoredAnswers(
            item=stored.sample,
            build=stored.build,
            release=recipe_of[stored.build],
            seed=stored.seed,
            value=stored.value,
            is_sampled=np.array([one.is_sampled for one in by_recipe.values()], dtype=np.bool_),
            group=group,
        )
    )
    return SetHealth(
        releases=tuple(release.name for release in by_recipe.values()),
        suites=tuple(
            _suite(found, np.flatnonzero(group == place), suite, scorers.get(suite, ""))
            for place, suite in enumerate(suites)
        ),
        samples=tuple(_sample(found, place, sample) for place, sample in enumerate(samples)),
    )


def _suite(found: ItemStatistics, rows: Numbers, suite: str, scorer: str) -> SuiteHealth:
    def number(flags: Any) -> int:
        return int(flags[rows].sum())

    return SuiteHealth(
        suite=suite,
        scorer=scorer,
        num_samples=len(rows),
        num_releases=int((~np.isnan(found.scores[rows])).any(axis=0).sum()),
        num_known=number(found.num_releases > 0),
        num_enough=number(found.is_enough),
        num_always_right=number(found.is_always_right),
        num_always_wrong=number(found.is_always_wrong),
        num_differing=number(found.differs),
        num_repeated=number(found.is_repeated),
        num_flaky=number(found.is_flaky),
        num_tested=number(~np.isnan(found.correlation)),
        num_negative=number(found.is_negative),
    )


def _sample(found: ItemStatistics, place: int, sample: Sample) -> SampleHealth:
    flagged: dict[Flag, Any] = {
        "negative": found.is_negative,
        "always_wrong": found.is_always_wrong,
        "flaky": found.is_flaky,
        "always_right": found.is_always_right,
    }
    return SampleHealth(
        sample=sample,
        scores=tuple(map(_known, found.scores[place].tolist())),
        num_answers=int(found.num_answers[place]),
        flags=tuple(flag for flag, flags in flagged.items() if flags[place]),
        noise=_known(float(found.noise[place])),
        correlation=_known(float(found.correlation[place])),
        adjusted_p=_known(float(found.adjusted_p[place])),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
