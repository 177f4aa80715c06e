"""The order of review and what labels come to, against the truth that made the answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.model.answer import Answer, JudgedSample
from tasks.review.estimate import between_people, by_people
from tasks.review.labels import Label, Labels, answer_digest, latest
from tasks.review.queue import chances, labelled_first, queue
from tests.tasks.gate.cases import sample


def _item(
    life: int, number: int, scores: tuple[float, float], texts: tuple[str, str], weight: float = 1.0
) -> JudgedSample:
    old, new = (Answer(value, text=text) for value, text in zip(scores, texts, strict=True))
    item = sample(number, old, new, weight=weight)
    return replace(item, sample=replace(item.sample, sample_id=f"{life}-{number}"))


def _label(item: JudgedSample, text: str, value: float | None, by: str = "ada") -> Label:
    return Label(item.sample.sample_id, answer_digest(text), value, by, "2026-11-30T10:00:00Z")


def _life(
    life: int, draw: np.random.Generator, num: int, accuracy: float
) -> tuple[list[JudgedSample], list[tuple[float, float]], float]:
    """Samples, who is right of (champion, challenger), and the true difference."""
    items, truths, weights = [], [], draw.lognormal(0, 0.6, num)
    for number in range(num):
        right = (float(draw.random() < 0.7), float(draw.random() < 0.8))
        is_same = right[0] == right[1] and draw.random() < 0.4
        texts = ("the same", "the same") if is_same else ("old", "new")
        first = right[0] if draw.random() < accuracy else 1 - right[0]
        second = first if is_same else right[1] if draw.random() < accuracy else 1 - right[1]
        items.append(_item(life, number, (first, second), texts, float(weights[number])))
        truths.append(right)
    return items, truths, 0.1


@pytest.mark.parametrize("accuracy", [0.95, 0.6])
def test_the_interval_holds_the_truth_whatever_the_scorer_is_worth(accuracy: float) -> None:
    """The truth is that of the traffic: right 70% and 80% of the time. 200 lives: 95% ± 4.6."""
    draw = np.random.default_rng(7)
    held, errors, widths = 0, [], []
    lives = 200
    for life in range(lives):
        items, truths, truth = _life(life, draw, 120, accuracy)
        right = {item.sample.sample_id: said for item, said in zip(items, truths, strict=True)}
        first = queue(items)[:50]
        labels = latest(
            _label(pair.item, text, right[pair.item.sample.sample_id][place])
            for pair in first
            for place, text in enumerate(("old", "new"))
        )
        found = by_people(items, labels, 0.05)["route"]
        assert found.num_labelled == 50
        assert found.difference is not None
        assert found.interval is not None
        held += found.interval.low <= truth <= found.interval.high
        errors.append(found.difference - truth)
        widths.append(found.interval.high - found.interval.low)
    assert held / lives >= 0.904
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(lives)
    # half the width is about twice the error that is seen
    assert np.mean(widths) / 4 == pytest.approx(np.std(errors), rel=0.15)


def test_chances_are_those_with_which_samples_come_first() -> None:
    """Summed over the first ones, 1 / chance is the number of pairs there are (unbiased)."""
    totals = []
    for life in range(300):
        items = [_item(life, n, (0, 1), ("old", "new"), 1.0 + (n % 5)) for n in range(40)]
        totals.append(sum(1 / chance for chance in chances(queue(items), 10)))
    assert np.mean(totals) == pytest.approx(40, abs=4 * np.std(totals) / np.sqrt(300))


def test_pairs_of_equal_answers_ask_nobody_and_the_heavier_come_first() -> None:
    items = [_item(0, n, (1, 1), ("a", "a")) for n in range(5)]
    items += [_item(0, 100 + n, (0, 1), ("a", "b"), 50.0) for n in range(30)]
    items += [_item(0, 200 + n, (1, 1), ("a", "b"), 1.0) for n in range(30)]
    order = [pair.item.sample.weight for pair in queue(items)]
    assert len(order) == 60
    assert np.mean(order[:30]) > 45


def test_only_the_beginning_that_is_labelled_without_a_gap_counts() -> None:
    items = [_item(0, n, (0, 1), ("old", "new")) for n in range(30)]
    pairs = queue(items)
    said = [
        _label(pair.item, text, 1.0) for pair in [*pairs[:4], *pairs[5:20]] for text in pair.texts
    ]
    assert len(labelled_first(pairs, latest(said))) == 4
    found = by_people(items, latest(said), 0.05)["route"]
    assert (found.num_labelled, found.difference) == (4, None)


def test_a_label_that_cannot_tell_leaves_the_score_and_is_told() -> None:
    items = [_item(0, n, (0, 1), ("old", "new")) for n in range(30)]
    values: dict[str, float | None] = {"old": 0.0, "new": 1.0}
    pairs = queue(items)
    labels = latest(
        _label(pair.item, text, None if place == 3 else values[text])
        for place, pair in enumerate(pairs)
        for text in pair.texts
    )
    found = by_people(items, labels, 0.05)["route"]
    assert (found.num_labelled, found.num_untold, found.difference) == (30, 1, pytest.approx(1.0))
    assert found.scorer.num_items == 58
    assert found.scorer.accuracy == 1.0


def test_reviewers_are_held_against_each_other_and_their_mean_is_the_label() -> None:
    item = _item(0, 1, (0, 1), ("old", "new"))
    labels: Labels = latest(
        [_label(item, "old", 1.0, "ada"), _label(item, "old", 0.0, "bo"),
         _label(item, "new", 1.0, "ada"), _label(item, "new", 1.0, "bo")]
    )  # fmt: skip
    (names,) = between_people(labels)
    assert names == ("ada", "bo")
    assert between_people(labels)[names].accuracy == 0.5
    assert not queue([item])[0].unlabelled(labels)
    assert queue([item])[0].unlabelled(labels, "cy") == queue([item])[0].texts
