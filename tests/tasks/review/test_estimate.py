"""The order of review and what labels come to, against the truth that made the answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.review import TRUTH, holds, looked_at, make_item, make_label, make_life
from tasks.review.estimate import between_people, by_people
from tasks.review.labels import Labels, latest
from tasks.review.queue import chances, labelled_first, queue


@pytest.mark.parametrize("accuracy", [0.95, 0.6])
def test_the_interval_holds_the_truth_whatever_the_scorer_is_worth(accuracy: float) -> None:
    """The truth is that of the traffic, right 70% and 80% of the time. Of 100 lives, with five
    standard errors' room."""
    draw = np.random.default_rng(7)
    held, errors, widths = 0, [], []
    lives = 100
    for life in range(lives):
        found = looked_at(*make_life(life, draw, accuracy), 50)
        assert found.num_labelled == 50
        assert found.difference is not None
        assert found.interval is not None
        held += holds(found.interval)
        errors.append(found.difference - TRUTH)
        widths.append(found.interval.high - found.interval.low)
    assert held / lives > 0.84  # benchmarks.review has the number
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(lives)
    # half the width is about twice the error that is seen
    assert np.mean(widths) / 4 == pytest.approx(np.std(errors), rel=0.2)


def test_chances_are_those_with_which_samples_come_first() -> None:
    """Summed over the first ones, 1 / chance is the number of pairs there are (unbiased)."""
    totals = []
    for life in range(300):
        items = [make_item(f"{life}-{n}", (0, 1), ("old", "new"), 1.0 + (n % 5)) for n in range(40)]
        totals.append(sum(1 / chance for chance in chances(queue(items), 10)))
    assert np.mean(totals) == pytest.approx(40, abs=4 * np.std(totals) / np.sqrt(300))


def test_pairs_of_equal_answers_ask_nobody_and_the_heavier_come_first() -> None:
    items = [make_item(f"{n}", (1, 1), ("a", "a")) for n in range(5)]
    items += [make_item(f"{100 + n}", (0, 1), ("a", "b"), 50.0) for n in range(30)]
    items += [make_item(f"{200 + n}", (1, 1), ("a", "b"), 1.0) for n in range(30)]
    order = [pair.item.sample.weight for pair in queue(items)]
    assert len(order) == 60
    assert np.mean(order[:30]) > 45


def test_suites_that_decide_come_before_those_that_do_not() -> None:
    items = [make_item(f"{n}", (0, 1), ("a", "b"), 1.0 if n % 2 else 99.0) for n in range(20)]
    items = [
        replace(item, sample=replace(item.sample, suite="mood" if n % 2 else "logged"))
        for n, item in enumerate(items)
    ]
    order = [pair.item.sample.suite for pair in queue(items, {"mood"})]
    assert order == ["mood"] * 10 + ["logged"] * 10


def test_only_the_beginning_that_is_labelled_without_a_gap_counts() -> None:
    items = [make_item(f"{n}", (0, 1), ("old", "new")) for n in range(30)]
    pairs = queue(items)
    said = [
        make_label(pair.item.sample.sample_id, text, 1.0)
        for pair in [*pairs[:4], *pairs[5:20]]
        for text in pair.texts
    ]
    assert len(labelled_first(pairs, latest(said))) == 4
    found = by_people(items, latest(said), 0.05)["route"]
    assert (found.num_labelled, found.difference) == (4, None)


def test_a_label_that_cannot_tell_leaves_the_score_and_is_told() -> None:
    items = [make_item(f"{n}", (0, 1), ("old", "new")) for n in range(30)]
    values: dict[str, float | None] = {"old": 0.0, "new": 1.0}
    pairs = queue(items)
    labels = latest(
        make_label(pair.item.sample.sample_id, text, None if place == 3 else values[text])
        for place, pair in enumerate(pairs)
        for text in pair.texts
    )
    found = by_people(items, labels, 0.05)["route"]
    assert (found.num_labelled, found.num_untold, found.difference) == (30, 1, pytest.approx(1.0))
    assert found.scorer.num_items == 58
    assert found.scorer.accuracy == 1.0


def test_reviewers_are_held_against_each_other_and_their_mean_is_the_label() -> None:
    item = make_item("1", (0, 1), ("old", "new"))
    labels: Labels = latest(
        [make_label("1", "old", 1.0, "ada"), make_label("1", "old", 0.0, "bo"),
         make_label("1", "new", 1.0, "ada"), make_label("1", "new", 1.0, "bo")]
    )  # fmt: skip
    (names,) = between_people(labels)
    assert names == ("ada", "bo")
    assert between_people(labels)[names].accuracy == 0.5
    assert not queue([item])[0].unlabelled(labels)
    assert queue([item])[0].unlabelled(labels, "cy") == queue([item])[0].texts
