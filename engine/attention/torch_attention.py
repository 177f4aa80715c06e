"""Attention with torch's own functions, where no kernel of ours runs: any device, any dtype.

Right to rounding, and no more is promised: tiles are grouped and filled up as they come, and torch
sums in another order for another shape, so the last bits of an answer depend on the batch. The
kernels in engine/kernels are what keeps bits. Knows positions and block tables; nothing of requests
or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.attention.plan import Span, plan_flat
from engine.cache.kv_cache import BLOCK_SIZE, KVCache

__all__ = ["TorchAttention"]

TILE_TOKENS = 32
MAX_SCORES = 1 << 22  # (query, key) pairs of one group, of all heads


@dataclass(frozen=True, slots=True)
class Group:
    """Tiles that are computed at once, filled up to the longest of them.

    rows    [num_tiles, num_queries] batch row of every query
    kept    [k] places in rows that are real; a tile's own last query fills it up
    blocks  [num_tiles, num_blocks]; a sequence's own last block fills it up, never a stranger's,
            whose content may be NaN
    ahead   [num_tiles, num_queries, num_keys] how many tokens a key lies behind its query; below 0
            it must not be seen
    """

    rows: Tensor
    kept: Tensor
    blocks: Tensor
    ahead: Tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """blocks, places [num_tokens]: where each token's K and V go."""

    blocks: Tensor
    places: Tensor
    groups: tuple[Group, ...]


class TorchAttention:
    def __init__(
        self, num_layers: int, num_blocks: int, num_heads: int, num_kv_heads: int, head_dim: int,
        dtype: torch.dtype, device: torch.device,
    ) -> None:  # fmt: skip
        self._cache = KVCache.allocate(
            num_layers, num_blocks, num_kv_heads, head_dim, dtype, device
        )
        self._num_heads = num_heads
        self._device = device

    def plan(self, spans: Sequence[Span]) -> Plan:
        """Once a step, for all layers."""
        flat = plan_flat(spans, TILE_TOKENS)
        slots = flat.slots.long().to(self._device)
        groups = _groups(flat.tiles.numpy(), flat.tables.numpy(), self._num_heads)
        tensors = (
            Group(*(torch.from_numpy(part).to(self._device) for part in group)) for group in groups
        )
        return Plan(slots // BLOCK_SIZE, slots % BLOCK_SIZE, tuple(tensors))

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: Plan, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v [num_tokens, num_kv_heads, head_dim] into the cache, then q's attention
        into out [num_tokens, num_heads * head_dim]. Scores are multiplied by scale, then capped:
        softcap * tanh(score / softcap). With a window, a query at position p sees the keys
        p - window + 1 to p.
        """
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys[plan.blocks, :, plan.places] = k
        values[plan.blocks, :, plan.places] = v
        for group in plan.groups:
            is_hidden = group.ahead < 0
            if window is not None:
                is_hidden = is_hidden | (group.ahead >= window)
            num_tiles, num_queries = group.rows.shape
            # [num_tiles, num_kv_heads, query heads of a K/V head * num_queries, head_dim]
            tile_q = q[group.rows].transpose(1, 2).reshape(num_tiles, k.shape[1], -1, q.shape[2])
            tile_k, tile_v = (
                cache[group.blocks].transpose(1, 2).flatten(2, 3) for cache in (keys, values)
            )
            scores = torch.matmul(tile_q * scale, tile_k.transpose(2, 3)).float()
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            by_query = scores.view(num_tiles, q.shape[1], num_queries, -1)
            by_query.masked_fill_(is_hidden[:, None], float("-inf"))
            result = torch.matmul(torch.softmax(scores, dim=-1).to(v.dtype), tile_v)
            by_row = result.view(num_tiles, q.shape[1], num_queries, -1).transpose(1, 2)
            out[group.rows.flatten()[group.kept]] = by_row.reshape(-1, out.shape[1])[group.kept]

    def scrub(self, blocks: Sequence[int]) -> None:
        self._cache.scrub(blocks)

    def copy_blocks(
        self, sources: Sequence[int], targets: Sequence[int], lengths: Sequence[int]
    ) -> None:
        self._cache.copy_blocks(sources, targets, lengths)


def _groups(
    tiles: np.ndarray, tables: np.ndarray, num_heads: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """Tiles of like length together, single tokens apart from prompts."""
    end = tiles[:, 1] + tiles[:, 2]
    order = np.lexsort((end, tiles[:, 2] > 1))
    first = 0
    while first < len(order):
        last = first + 1
        while last < len(order) and _fits(tiles[order[first : last + 1]], num_heads):
            last += 1
        yield _group(tiles[order[first:last]].astype(np.int64), tables)
        first = last


def _fits(tiles: np.ndarray, num_heads: int) -> bool:
    width, end = tiles[:, 2], tiles[:, 1] + tiles[:, 2]
    pairs = len(tiles) * int(width.max()) * int(end.max())
    return bool((width > 1).all() or (width == 1).all()) and pairs * num_heads <= MAX_SCORES


def _group(tiles: np.ndarray, tables: np.ndarray) -> tuple[np.ndarray, ...]:
    row, start, tokens, offset = (tiles[:, i, None] for i in range(4))
    query = np.arange(tokens.max())
    filled = np.minimum(query, tokens - 1)
    num_blocks = -(-(start + tokens) // BLOCK_SIZE)
    block = np.minimum(np.arange(num_blocks.max()), num_blocks - 1)
    key = np.arange(num_blocks.max() * BLOCK_SIZE)
    return (
        row + filled,
        np.flatnonzero(query < tokens),
        tables[offset + block].astype(np.int64),
        (start + filled)[:, :, None] - key,
    )
