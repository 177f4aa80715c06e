"""What a part of the samples says of all of them, whose score changed being drawn on purpose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.explain import CELLS, KINDS, SHARES
from tasks.explain.drawing import draw, is_known
from tasks.explain.estimate import clusters_of, difference_of, split
from tasks.explain.shapley import shapley_values
from tasks.model.answer import MISSING, ROLES, Answer, JudgedSample
from tasks.model.sample import Sample

ALPHA, UNSEEN_LOSS = 0.05, 0.25


def judged(
    champion: Sequence[float], challenger: Sequence[float], weights: Sequence[float] | None = None
) -> list[JudgedSample]:
    weights = np.ones(len(champion)) if weights is None else weights
    return [
        JudgedSample(
            Sample(f"s{n}", "route", None, (), None, "t", "gold", "suite", cluster_id=f"c{n}",
                   weight=float(weights[n])),
            {"champion": (Answer(float(old)),), "challenger": (Answer(float(new)),)},
        )
        for n, (old, new) in enumerate(zip(champion, challenger, strict=True))
    ]  # fmt: skip


def explained(items: list[JudgedSample], scores: np.ndarray, limit: int):
    """Draws, then answers each drawn sample by its row of `scores` [num_samples, num_cells]."""
    drawn = draw(items, limit)
    rows = [int(item.sample.sample_id[1:]) for item in drawn.samples]
    weights = drawn.weights(np.ones(len(rows), dtype=bool))
    clusters = clusters_of(drawn.samples)
    return split(scores[rows], clusters, weights, ALPHA, UNSEEN_LOSS)


@given(st.integers(4, 60), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_drawn_weights_are_those_of_all_by_kind(size: int, limit: int, seed: int) -> None:
    draw_random = np.random.default_rng(seed)
    old, new = (draw_random.random((2, size)) < 0.7).astype(float)
    items = judged(old, new, draw_random.uniform(0.2, 3, size))
    drawn = draw(items, limit)
    assert (len(drawn.flips), len(drawn.others)) == (
        min(limit, int((old != new).sum())), min(limit, int((old == new).sum())),
    )  # fmt: skip
    assert all(item.is_flip for item in drawn.flips)
    assert not any(item.is_flip for item in drawn.others)
    again = draw(list(reversed(items)), limit)
    assert (again.flips, again.others) == (drawn.flips, drawn.others)
    weights = drawn.weights(np.ones(len(drawn.samples), dtype=bool))
    for kind, of_kind in ((old != new, slice(0, len(drawn.flips))),
                          (old == new, slice(len(drawn.flips), None))):  # fmt: skip
        total = sum(item.sample.weight for item, is_in in zip(items, kind, strict=True) if is_in)
        assert weights[of_kind].sum() == pytest.approx(total)


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_parts_add_up_to_the_difference_of_the_run(seed: int, num_parts: int) -> None:
    """All that changed being drawn, without any error of drawing, whatever the samples weigh."""
    draw_random = np.random.default_rng(seed)
    scores = (draw_random.random((80, 2**num_parts)) < 0.6).astype(float)
    items = judged(scores[:, 0], scores[:, -1], draw_random.uniform(0.2, 3, 80))
    found = explained(items, scores, limit=75)
    own = difference_of(items, ALPHA, UNSEEN_LOSS)
    assert found.difference.value == pytest.approx(own.value, abs=1e-12)
    assert sum(part.value for part in found.parts) == pytest.approx(own.value, abs=1e-12)
    assert found.means[-1] - found.means[0] == pytest.approx(own.value, abs=1e-12)


def test_a_kept_sample_stands_for_those_of_its_kind_that_were_lost() -> None:
    items = judged([1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [1, 3, 1, 1, 1, 1])
    drawn = draw(items, 10)
    names = [item.sample.sample_id for item in drawn.samples]
    kept = np.array([name not in ("s1", "s5") for name in names])
    weights = dict(zip(np.array(names)[kept], drawn.weights(kept), strict=True))
    assert weights == pytest.approx({"s0": 4, "s2": 4 / 3, "s3": 4 / 3, "s4": 4 / 3})


def test_an_answer_that_nobody_knows_takes_the_sample_out() -> None:
    (item,) = judged([1], [0])
    half = JudgedSample(item.sample, {**item.answers, "between": (Answer(1.0), MISSING)})
    assert is_known(half, ROLES)
    assert not is_known(half, half.answers)
    failed = JudgedSample(item.sample, {**item.answers, "between": (Answer(fault="release"),)})
    assert is_known(failed, failed.answers)
    assert failed.score("between") == 0


@pytest.mark.slow
def test_intervals_cover_the_whole_set_and_the_traffic_it_is_drawn_from() -> None:
    """Of 800 samples about 135 changed their score: 100 of them are asked, and 100 others."""
    rounds, size, limit = 200, 800, 100
    random = np.random.default_rng(3)
    of_traffic = SHARES @ shapley_values(CELLS, 2)
    covers = {"set": np.zeros(2), "traffic": np.zeros(2)}
    errors = np.zeros((rounds, 2))
    for number in range(rounds):
        scores = CELLS[random.choice(len(KINDS), size, p=SHARES)]
        items = judged(scores[:, 0], scores[:, -1])
        found = explained(items, scores, limit)
        of_set = shapley_values(scores, 2).mean(axis=0)
        ends = np.array([[part.interval.low, part.interval.high] for part in found.parts])
        for name, truth in (("set", of_set), ("traffic", of_traffic)):
            covers[name] += (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        errors[number] = [part.value for part in found.parts] - of_set
    shares = {name: counts / rounds for name, counts in covers.items()}
    # at a true coverage of .95, 200 rounds fall below .90 once in 500
    assert min(shares["set"].min(), shares["traffic"].min()) >= 0.9, shares
    # no bias for having looked at what changed: within four standard errors of none
    assert (np.abs(errors.mean(axis=0)) <= 4 * errors.std(axis=0) / rounds**0.5 + 1e-9).all()
