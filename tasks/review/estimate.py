"""What people's labels say of two releases: the difference they would find, with its interval.

Every pair has what the scorer makes of it; the pairs a person looked at say how far the scorer is
off, each for all those like it that nobody looked at (difference estimator: Särndal, Swensson &
Wretman, "Model assisted survey sampling", 1992, ch. 6). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.model.answer import JudgedSample, Role
from tasks.model.comparison import Interval
from tasks.review.labels import Labels, value_of
from tasks.review.queue import answers_differ, chances, labelled_first, queue, texts_of
from tasks.statistics.agreement import Agreement, agreement
from tasks.statistics.intervals import clustered_mean, labels_of, t_interval

#: fewer pairs say too little of how far the scorer is off
FEWEST_PAIRS = 10


@dataclass(frozen=True, slots=True)
class ByPeople:
    """Of a suite. `num_pairs`: pairs whose answers differ; `num_labelled`: the first of them in the
    order drawn of which every answer has a label; `num_untold`: those of which nobody could tell.
    `difference` (challenger minus champion) and `interval`: None below ten. `power`: the weight of
    the scorer, 0 to 1. `scorer`: how far it agrees with people, answer by answer.
    """

    suite: str
    num_samples: int
    num_pairs: int
    num_labelled: int
    num_untold: int
    difference: float | None
    interval: Interval | None
    power: float | None
    scorer: Agreement


def by_people(judged: Sequence[JudgedSample], labels: Labels, alpha: float) -> dict[str, ByPeople]:
    """Suite → what labels say of it; of the samples of a turn of one challenger that count."""
    suites: dict[str, list[JudgedSample]] = {}
    for item in judged:
        if item.sample.is_counted:
            suites.setdefault(item.sample.suite, []).append(item)
    return {suite: _of_suite(suite, items, labels, alpha) for suite, items in suites.items()}


def between_people(labels: Labels) -> dict[tuple[str, str], Agreement]:
    """Every two reviewers, by name → how far they agree on what both could tell."""
    both: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for said in labels.values():
        told = sorted((who, label.value) for who, label in said.items() if label.value is not None)
        for place, (one, value) in enumerate(told):
            for other, another in told[place + 1 :]:
                both.setdefault((one, other), []).append((value, another))
    return {names: _agreement(values) for names, values in sorted(both.items())}


def _of_suite(suite: str, items: Sequence[JudgedSample], labels: Labels, alpha: float) -> ByPeople:
    pairs = queue(items)
    first = labelled_first(pairs, labels)
    chance = dict(
        zip((pair.item.sample.sample_id for pair in first), chances(pairs, len(first)), strict=True)
    )
    said = {pair.item.sample.sample_id: _difference(pair.item, labels) for pair in first}
    told = {sample_id: value for sample_id, value in said.items() if value is not None}
    difference, interval, power = None, None, None
    if len(told) >= FEWEST_PAIRS and len({item.sample.cluster_id for item in items}) > 1:
        difference, interval, power = _estimate(items, told, chance, alpha)
    return ByPeople(
        suite=suite,
        num_samples=len(items),
        num_pairs=len(pairs),
        num_labelled=len(first),
        num_untold=len(said) - len(told),
        difference=difference,
        interval=interval,
        power=power,
        scorer=_agreement(_answers(items, labels)),
    )


def _estimate(
    items: Sequence[JudgedSample],
    told: Mapping[str, float],
    chance: Mapping[str, float],
    alpha: float,
) -> tuple[float, Interval, float]:
    ids = [item.sample.sample_id for item in items]
    weights = np.array([item.sample.weight for item in items])
    # equal answers are equally right, whatever the scorer made of them
    scored = np.array([(item.difference() or 0.0) * answers_differ(item) for item in items])
    is_told = np.array([sample_id in told for sample_id in ids])
    label = np.array([told.get(sample_id, 0.0) for sample_id in ids])
    share = np.array([chance[i] if i in told else 1.0 for i in ids])
    # the weight of the scorer that leaves the least to the draw of who is looked at
    drawn = is_told * weights**2 * (1 - share) / share**2
    spread = math.fsum(drawn * scored**2)
    power = float(np.clip(math.fsum(drawn * label * scored) / spread, 0, 1)) if spread else 1.0
    values = power * scored + is_told * (label - power * scored) / share
    mean = clustered_mean(
        values,
        labels_of([item.sample.cluster_id for item in items]),
        weights,
        np.array([item.sample.num_draws for item in items]),
    )
    return mean.mean, t_interval(mean, alpha).clipped(-1.0, 1.0), power


def _difference(item: JudgedSample, labels: Labels) -> float | None:
    """Challenger minus champion as people see them; None where of one nobody could tell."""
    champion, challenger = (_mean(item, role, labels) for role in ("champion", "challenger"))
    return None if champion is None or challenger is None else challenger - champion


def _mean(item: JudgedSample, role: Role, labels: Labels) -> float | None:
    """Over the repeats; a release that gave no answer through its own fault is wrong."""
    values = [
        0.0 if answer.is_failed else value_of(labels, item.sample.sample_id, answer.text)
        for answer in item.answers[role]
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if values and len(known) == len(values) else None


def _answers(items: Sequence[JudgedSample], labels: Labels) -> list[tuple[float, float]]:
    """(what people say, what the scorer says) of every answer that has both, each text once."""
    both: dict[tuple[str, str], tuple[float, float]] = {}
    for item in items:
        for role in item.answers:
            for answer, text in zip(item.answers[role], texts_of(item, role), strict=True):
                value = value_of(labels, item.sample.sample_id, text)
                if text is not None and value is not None and answer.value is not None:
                    both[item.sample.sample_id, text] = value, answer.value
    return list(both.values())


def _agreement(values: Sequence[tuple[float, float]]) -> Agreement:
    pairs = np.array(values, dtype=np.float64).reshape(-1, 2)
    return agreement(pairs[:, 0], pairs[:, 1])
