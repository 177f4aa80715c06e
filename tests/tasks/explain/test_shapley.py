"""The split against the definition itself (every order of joining) and cases worked by hand."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.explain.shapley import interaction_index, shapley_values


def by_every_order(scores: np.ndarray, num_parts: int) -> np.ndarray:
    """Shapley's definition: the mean, over all orders, of what a part changes when it joins."""
    values = np.zeros((len(scores), num_parts))
    orders = list(permutations(range(num_parts)))
    for order in orders:
        cell = 0
        for part in order:
            values[:, part] += scores[:, cell + 2**part] - scores[:, cell]
            cell += 2**part
    return values / len(orders)


def interaction_by_every_order(scores: np.ndarray, num_parts: int, pair: tuple[int, int]):
    """Grabisch and Roubens: the pair joins as one player among the others, in all orders."""
    index = np.zeros(len(scores))
    rest = [part for part in range(num_parts) if part not in pair]
    orders = list(permutations([*rest, "both"]))
    for order in orders:
        cell = sum(2**part for part in order[: order.index("both")])
        one, other = 2 ** pair[0], 2 ** pair[1]
        index += (
            scores[:, cell + one + other] - scores[:, cell + one]
            - scores[:, cell + other] + scores[:, cell]
        )  # fmt: skip
    return index / len(orders)


@given(st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_it_is_the_mean_over_every_order_and_adds_up(num_parts: int, seed: int) -> None:
    scores = np.random.default_rng(seed).random((5, 2**num_parts))
    values = shapley_values(scores, num_parts)
    np.testing.assert_allclose(values, by_every_order(scores, num_parts), atol=1e-12)
    np.testing.assert_allclose(values.sum(axis=1), scores[:, -1] - scores[:, 0], atol=1e-12)
    for pair in combinations(range(num_parts), 2):
        found = interaction_index(scores, num_parts, *pair)
        wanted = interaction_by_every_order(scores, num_parts, pair)
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        np.testing.assert_allclose(found, interaction_index(scores, num_parts, *pair[::-1]))


#: scores of the cells none, first, second, both → values, interaction
BY_HAND = {
    "only together": ([1, 1, 1, 0], [-0.5, -0.5], -1),
    "each alone does all": ([1, 0, 0, 0], [-0.5, -0.5], 1),
    "one alone": ([1, 0, 1, 0], [-1, 0], 0),
    "they add up": ([1, 0.75, 0.5, 0.25], [-0.25, -0.5], 0),
    "they cancel": ([0.5, 0, 1, 0.5], [-0.5, 0.5], 0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_cases_worked_by_hand(name: str) -> None:
    scores, values, interaction = BY_HAND[name]
    cells = np.array([scores], dtype=np.float64)
    np.testing.assert_allclose(shapley_values(cells, 2)[0], values)
    np.testing.assert_allclose(interaction_index(cells, 2, 0, 1), [interaction])


def test_three_parts_worked_by_hand() -> None:
    """Gloves of Shapley's market: one left, two right; a pair is worth 1. Left 2/3, right 1/6."""
    left, right, other = 1, 2, 4
    worth = [float(bool(cell & left) and bool(cell & (right | other))) for cell in range(8)]
    np.testing.assert_allclose(shapley_values(np.array([worth]), 3), [[2 / 3, 1 / 6, 1 / 6]])


def test_who_is_champion_only_turns_the_sign() -> None:
    scores = np.random.default_rng(1).random((9, 16))
    turned = scores[:, ::-1]  # every cell's complement: both releases swapped
    np.testing.assert_allclose(shapley_values(turned, 4), -shapley_values(scores, 4), atol=1e-12)
    np.testing.assert_allclose(
        interaction_index(turned, 4, 1, 3), interaction_index(scores, 4, 1, 3), atol=1e-12
    )
