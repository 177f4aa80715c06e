"""What a set can decide, against exact enumeration and against simulation of the very interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tasks.statistics.intervals import clustered_mean
from tasks.statistics.paired import Pairs, compare
from tasks.statistics.planning import Design, design_of, pass_probability, samples_for

_ALPHA, _UNSEEN = 0.05, 0.25


def _binary(num_samples: float, discordance: float) -> Design:
    return Design(num_samples, 1.0, num_samples, True, discordance, 0.0)


@pytest.mark.parametrize(("discordance", "difference"), [(0.1, 0.0), (0.2, -0.08), (0.05, 0.02)])
def test_the_exact_probability_is_that_of_every_outcome(
    discordance: float, difference: float
) -> None:
    """Summed over all (b, c) of 90 pairs, each asked of the interval itself."""
    n, margin, passed = 90, 0.08, 0.0
    won, lost = (discordance + difference) / 2, (discordance - difference) / 2
    for b in range(n + 1):
        for c in range(n + 1 - b):
            chance = stats.multinomial.pmf([b, c, n - b - c], n, [won, lost, 1 - won - lost])
            if chance > 1e-10:
                values = np.r_[np.ones(b), -np.ones(c), np.zeros(n - b - c)]
                pairs = Pairs(values, np.arange(n), np.ones(n), True)
                passed += chance * (compare(pairs, _ALPHA, _UNSEEN).interval.low > -margin)
    asked = pass_probability(_binary(n, discordance), margin, _ALPHA, _UNSEEN, difference)
    assert asked == pytest.approx(passed, abs=1e-6)


def test_identical_answers_pass_from_seventy_three_samples_on() -> None:
    assert pass_probability(_binary(72, 0.0), 0.05, _ALPHA, _UNSEEN) == 0.0
    assert pass_probability(_binary(73, 0.0), 0.05, _ALPHA, _UNSEEN) == 1.0
    assert samples_for(_binary(10, 0.0), 0.05, _ALPHA, _UNSEEN, 0.8) == 73


@pytest.mark.parametrize("count", [100, 345, 1000])
def test_a_release_at_the_margin_hardly_passes(count: int) -> None:
    assert pass_probability(_binary(count, 0.1), 0.05, _ALPHA, _UNSEEN, -0.05) <= 0.025


def _graded(draw: np.random.Generator, groups: int, size: int, between: float) -> Pairs:
    clusters = np.repeat(np.arange(groups), size)
    values = draw.normal(0, between, groups)[clusters] + draw.normal(0, 0.2, groups * size)
    return Pairs(np.clip(values, -1, 1), clusters, np.ones(len(values)), False)


@pytest.mark.parametrize(
    "make",
    [
        lambda draw: _graded(draw, 100, 1, 0.0),
        lambda draw: _graded(draw, 40, 10, 0.07),
        lambda draw: _graded(draw, 60, 3, 0.1),
    ],
)
def test_of_graded_and_clustered_pairs_it_is_what_simulation_gives(
    make: Callable[[np.random.Generator], Pairs],
) -> None:
    draw = np.random.default_rng(5)
    sets = [make(draw) for _ in range(1500)]
    passed = np.mean([compare(pairs, _ALPHA, _UNSEEN).interval.low > -0.05 for pairs in sets])
    designs = [design_of(pairs) for pairs in sets[:100]]
    error = float(np.mean([design.standard_error for design in designs]))
    typical = Design(
        designs[0].num_samples, designs[0].samples_a_cluster, designs[0].effective_clusters,
        False, 0.0, error,
    )  # fmt: skip
    # three standard errors of the simulation, and what the approximation may be off by
    assert pass_probability(typical, 0.05, _ALPHA, _UNSEEN) == pytest.approx(passed, abs=0.045)


def test_the_number_of_samples_it_names_gives_the_power_it_names() -> None:
    for design in (_binary(50, 0.1), Design(60, 3.0, 20, False, 0.0, 0.05)):
        enough = samples_for(design, 0.05, _ALPHA, _UNSEEN, 0.8)
        assert enough is not None
        resized = design.resized(enough)
        assert 0.8 <= pass_probability(resized, 0.05, _ALPHA, _UNSEEN) < 0.83


def test_a_design_says_what_was_seen() -> None:
    values = np.r_[np.ones(5), -np.ones(3), np.zeros(72)]
    pairs = Pairs(values, np.repeat(np.arange(40), 2), np.ones(80), True)
    design = design_of(pairs)
    assert (design.num_samples, design.samples_a_cluster) == (80, 2.0)
    assert (design.discordance, design.is_score_interval) == (0.1, False)
    assert design.standard_error == clustered_mean(values, pairs.clusters).standard_error
