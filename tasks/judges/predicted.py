"""The difference of releases by judge and labels together, on the samples of one suite. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.answering.needs import Need
from tasks.model.answer import CompletionKey, Role
from tasks.model.judge import Predicted
from tasks.releases.resolve import ResolvedRelease
from tasks.scoring.suites import gate_rule
from tasks.settings import Settings
from tasks.statistics.intervals import Labels, labels_of
from tasks.statistics.ppi import Part, ppi_mean

_Difference = tuple[float, float | None, float, str]


def predicted(
    needs: Sequence[Need],
    values: Mapping[CompletionKey, float | None],
    people: Mapping[CompletionKey, float],
    releases: Mapping[Role, ResolvedRelease],
    settings: Settings,
) -> dict[Role, Predicted]:
    """Of every challenger, where people labelled answers of both releases to three clusters of
    samples that count or more. `values` by the judge, `people` by labels."""
    challengers = [role for role in releases if role != "champion"]
    alpha = gate_rule(settings, len(challengers)).look_alpha
    found: dict[Role, Predicted] = {}
    for role in challengers:
        pair = releases["champion"].digest, releases[role].digest
        drawn = _differences(needs, values, people, pair)
        labelled = [one for one in drawn if one[1] is not None]
        others = [one for one in drawn if one[1] is None]
        clusters = labels_of([one[3] for one in [*labelled, *others]])
        num = len(labelled)
        parts = _part(labelled, clusters[:num]), _part(others, clusters[num:])
        labels = np.array([one[1] for one in labelled], dtype=np.float64)
        try:
            mean = ppi_mean(labels, *parts, alpha)
        except ValueError:
            continue
        by_judge = float(np.average([one[0] for one in drawn], weights=[one[2] for one in drawn]))
        found[role] = Predicted(num, mean.mean, mean.interval, mean.power, by_judge)
    return found


def _differences(
    needs: Sequence[Need],
    values: Mapping[CompletionKey, float | None],
    people: Mapping[CompletionKey, float],
    pair: tuple[str, str],
) -> list[_Difference]:
    """Challenger less champion of every sample by the judge, by people (None: not labelled), with
    weight and cluster; repeats averaged."""
    by_sample: dict[str, list[Need]] = {}
    for need in needs:
        if need.sample.is_counted:
            by_sample.setdefault(need.sample.sample_id, []).append(need)
    drawn: list[_Difference] = []
    for asked in by_sample.values():
        sample = asked[0].sample
        keys = [[n.key for n in asked if n.release.digest == digest] for digest in pair]
        judged = [_mean([values.get(key) for key in of_one]) for of_one in keys]
        said = [_mean([people.get(key) for key in of_one]) for of_one in keys]
        if judged[0] is None or judged[1] is None:
            continue
        label = None if said[0] is None or said[1] is None else said[1] - said[0]
        drawn.append((judged[1] - judged[0], label, sample.weight, sample.cluster_id))
    return drawn


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _part(drawn: Sequence[_Difference], clusters: Labels) -> Part:
    values, weights = (np.array([one[place] for one in drawn], np.float64) for place in (0, 2))
    return Part(values, weights, clusters)
