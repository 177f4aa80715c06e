"""Tile sizes are used only when they give the reference's bits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.execution.rows import RowTiles

SIZES = (8, 16, 32, 64, 128, 256)


def rows(count: int) -> Tensor:
    return torch.arange(512.0)[:count, None].repeat(1, 3)


def tiles(run, exact: bool = True) -> RowTiles:
    return RowTiles(SIZES, run, rows, exact)


def test_every_size_of_a_row_wise_function_is_trusted():
    plan = tiles(lambda x: x * 2)
    assert plan.plan(1) == (8,)
    assert plan.plan(64) == (64,)
    assert plan.plan(300) == (256, 64)
    assert plan.rejected == ()


def test_size_with_other_bits_is_rejected():
    plan = tiles(lambda x: x * (1.0001 if x.shape[0] < 32 else 1))
    assert plan.plan(3) == (32,)
    assert plan.rejected == (8, 16)


def test_size_where_the_place_matters_is_rejected():
    def uneven(x: Tensor) -> Tensor:
        y = x.clone()
        if x.shape[0] == 64:
            y[-1] += 1
        return y

    plan = tiles(uneven)
    assert plan.plan(50) == (128,) or 64 not in plan.plan(50)
    assert plan.rejected == (64,)


@pytest.mark.parametrize("count", [1, 7, 8, 33, 100, 129, 700])
def test_tiles_hold_all_rows_and_waste_little(count: int):
    sizes = tiles(lambda x: x).plan(count)
    assert sum(sizes) >= count
    assert sum(sizes[:-1]) < count
    assert sum(sizes) <= max(8, count * 1.5)


def test_without_exactness_the_batch_is_one_tile():
    assert tiles(lambda x: x, exact=False).plan(77) == (77,)
