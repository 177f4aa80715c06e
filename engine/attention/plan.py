"""What one step's attention has to do, worked out once and used in every layer.

Knows positions and block tables; nothing of requests, models or the values in the cache. The
queries of one sequence are cut into tiles of 1, 8 or 32 tokens. Tiles are sorted by their number of
blocks, so that "all tiles that have a block number j" is a prefix and attention works on slices:
no padding of K and V, no gather of scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.cache.kv_cache import BLOCK_SIZE

__all__ = [
    "TILE_TOKENS",
    "AttentionPlan",
    "AttentionShape",
    "FlatPlan",
    "Span",
    "TileGroup",
    "plan_attention",
    "plan_flat",
]

TILE_TOKENS = (1, 8, 32)
MAX_SCORES = 1 << 22  # elements of one group's score matrix: 16 MiB in float32


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """num_heads query heads in num_kv_heads groups; rows[t] matrix rows for a tile of t tokens."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    block_size: int
    rows: dict[int, int]

    @property
    def group_size(self) -> int:
        return self.num_heads // self.num_kv_heads


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens of one sequence in the batch: rows [row, row + num_tokens) are its positions [start,
    start + num_tokens).
    """

    row: int
    start: int
    num_tokens: int
    block_table: Sequence[int]


@dataclass(frozen=True, slots=True)
class TileGroup:
    """Tiles of one width, sorted by falling number of blocks.

    num_tiles, tokens, rows  of the group
    gather      [num_tiles * tokens] batch row of every query (row 0 where a tile is not full)
    kept        [k] places in gather that are real, and `scatter` [k] the batch rows they go back to
    blocks      [num_pairs] physical blocks: first the number 0 of every tile, then the number 1 of
                those that have one, …
    level_sizes how many tiles have a block number j
    mask        [num_tiles, 1, rows, num_levels * block_size] True where a query must not look
    positions   [num_tiles, 1, rows, 1] of the queries
    """

    num_tiles: int
    tokens: int
    rows: int
    gather: Tensor
    kept: Tensor
    scatter: Tensor
    blocks: Tensor
    level_sizes: tuple[int, ...]
    mask: Tensor
    positions: Tensor


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """Everything about one step's attention that is the same in every layer. slots: [num_tokens *
    num_kv_heads].
    """

    slots: Tensor
    groups: tuple[TileGroup, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FlatPlan:
    """The same for kernels that follow block tables themselves, all int32.

    slots   [num_tokens] block * BLOCK_SIZE + place in the block, of every token
    tiles   [num_tiles, 4]: row, start, tokens, offset in `tables` of its sequence's block table
    tables  [sum of lengths] block tables, one after the other
    """

    slots: Tensor
    tiles: Tensor
    tables: Tensor

    def to(self, device: torch.device) -> FlatPlan:
        return FlatPlan(self.slots.to(device), self.tiles.to(device), self.tables.to(device))


def plan_flat(spans: Sequence[Span], tile_tokens: int) -> FlatPlan:
    """Tiles of at most tile_tokens queries, the longest work first."""
    slots, tiles, tables = [], [], []
    offset = 0
    for span in spans:
        table = np.asarray(span.block_table, dtype=np.int32)
        positions = np.arange(span.start, span.start + span.num_tokens, dtype=np.int32)
        slots.append(table[positions // BLOCK_SIZE] * BLOCK_SIZE + positions % BLOCK_SIZE)
        first = np.arange(0, span.num_tokens, tile_tokens, dtype=np.int32)
        count = np.minimum(tile_tokens, span.num_tokens - first)
        place = np.full_like(first, offset)
        tiles.append(np.stack((span.row + first, span.start + first, count, place), axis=1))
        tables.append(table)
        offset += len(table)
    joined = np.concatenate(tiles)
    longest_first = np.argsort(-(joined[:, 1] + joined[:, 2]) * joined[:, 2], kind="stable")
    return FlatPlan(
        torch.from_numpy(np.concatenate(slots)),
        torch.from_numpy(joined[longest_first]),
        torch.from_numpy(np.concatenate(tables)),
    )


def plan_attention(
    spans: Sequence[Span], shape: AttentionShape, device: torch.device
) -> AttentionPlan:
    tiles: dict[int, list[tuple[int, int, int, Sequence[int]]]] = {}
    for span in spans:
        for offset, tokens, width in _cut(span.num_tokens):
            start = span.start + offset
            tiles.setdefault(width, []).append((span.row + offset, start, tokens, span.block_table))
    groups: list[TileGroup] = []
    for width, members in sorted(tiles.items()):
        members.sort(key=lambda tile: -_num_blocks(tile[1] + tile[2], shape.block_size))
        first = 0
        while first < len(members):
            levels = _num_blocks(members[first][1] + members[first][2], shape.block_size)
            per_tile = shape.num_kv_heads * shape.rows[width] * levels * shape.block_size
            count = max(1, MAX_SCORES // per_tile)
            groups.append(_group(members[first : first + count], width, shape, device))
            first += count
    return AttentionPlan(_slots(spans, shape).to(device), tuple(groups))


def _cut(num_tokens: int) -> list[tuple[int, int, int]]:
    """(offset, tokens, tile width) of each tile."""
    widest = TILE_TOKENS[-1]
    cuts = [(offset, widest, widest) for offset in range(0, num_tokens - widest + 1, widest)]
    rest = num_tokens % widest
    if rest:
        width = next(w for w in TILE_TOKENS if w >= rest)
        cuts.append((num_tokens - rest, rest, width))
    return cuts


def _num_blocks(num_tokens: int, block_size: int) -> int:
    return -(-num_tokens // block_size)


def _slots(spans: Sequence[Span], shape: AttentionShape) -> Tensor:
    """Row of the flat [num_blocks * num_kv_heads * block_size, head_dim] cache for every (token,
    K/V head).
    """
    per_span = []
    for span in spans:
        positions = np.arange(span.start, span.start + span.num_tokens)
        table = np.asarray(span.block_table, dtype=np.int64)
        block = table[positions // shape.block_size]
        first = block * (shape.num_kv_heads * shape.block_size) + positions % shape.block_size
        per_span.append(first[:, None] + np.arange(shape.num_kv_heads)[None, :] * shape.block_size)
    return torch.from_numpy(np.concatenate(per_span).reshape(-1))


def _group(
    members: list[tuple[int, int, int, Sequence[int]]],
    width: int,
    shape: AttentionShape,
    device: torch.device,
) -> TileGroup:
    row, start, tokens = (np.array([m[i] for m in members], dtype=np.int64) for i in range(3))
    num_blocks = -(-(start + tokens) // shape.block_size)
    levels = int(num_blocks[0])
    table = np.zeros((len(members), levels), dtype=np.int64)
    for i, member in enumerate(members):
        table[i, : num_blocks[i]] = member[3][: num_blocks[i]]
    has_level = np.arange(levels)[:, None] < num_blocks[None, :]
    offsets = np.arange(width)
    is_real = offsets[None, :] < tokens[:, None]
    rows = np.where(is_real, row[:, None] + offsets[None, :], 0)
    # A query that is only padding looks at the tile's last position: any finite result will do, it
    # is thrown away.
    position = start[:, None] + np.minimum(offsets[None, :], tokens[:, None] - 1)
    row_token = np.minimum(np.arange(shape.rows[width]) // shape.group_size, width - 1)
    key = np.arange(levels * shape.block_size)
    positions = position[:, row_token][:, None, :, None]
    mask = key > positions
    return TileGroup(
        num_tiles=len(members),
        tokens=width,
        rows=shape.rows[width],
        gather=torch.from_numpy(rows.reshape(-1)).to(device),
        kept=torch.from_numpy(np.flatnonzero(is_real)).to(device),
        scatter=torch.from_numpy(rows[is_real]).to(device),
        blocks=torch.from_numpy(table.T[has_level]).to(device),
        level_sizes=tuple(int(n) for n in has_level.sum(axis=1)),
        mask=torch.from_numpy(mask).to(device),
        positions=torch.from_numpy(positions).to(device),
    )
