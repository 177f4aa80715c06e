"""Attention with torch's own functions, where no kernel of ours runs: any device, any dtype.

Right to rounding, and no more is promised: torch sums in another order for another shape. The
kernels in engine/kernels are what keeps bits. Knows positions and block tables; nothing of requests
or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.attention.plan import Span, plan_flat
from engine.cache.kv_cache import BLOCK_SIZE, KVCache

__all__ = ["TorchAttention"]

TILE_TOKENS = 128  # queries at once, of one sequence: bounds the memory of their scores


@dataclass(frozen=True, slots=True)
class Tile:
    """Neighbouring queries of one sequence, and the blocks they may look at.

    distance [num_queries, num_keys] how far a key lies behind its query; below 0: ahead of it
    """

    rows: slice
    blocks: Tensor
    distance: Tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """blocks, places [num_tokens]: where each token's K and V go."""

    blocks: Tensor
    places: Tensor
    tiles: tuple[Tile, ...]


class TorchAttention:
    def __init__(
        self, num_layers: int, num_blocks: int, num_heads: int, num_kv_heads: int, head_dim: int,
        dtype: torch.dtype, device: torch.device,
    ) -> None:  # fmt: skip
        size = (num_layers, num_blocks, num_kv_heads, BLOCK_SIZE, head_dim)
        self.cache = KVCache.zeros(*size, dtype=dtype, device=device)
        self._device = device

    def plan(self, spans: Sequence[Span]) -> Plan:
        """Once a step, for all layers."""
        flat = plan_flat(spans, TILE_TOKENS).to(self._device)
        tiles = []
        for row, start, tokens, offset in flat.tiles.tolist():
            blocks = flat.tables[offset : offset + -(-(start + tokens) // BLOCK_SIZE)].long()
            query = torch.arange(start, start + tokens, device=self._device)
            key = torch.arange(len(blocks) * BLOCK_SIZE, device=self._device)
            tiles.append(Tile(slice(row, row + tokens), blocks, query[:, None] - key))
        slots = flat.slots.long()
        return Plan(slots // BLOCK_SIZE, slots % BLOCK_SIZE, tuple(tiles))

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: Plan, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v [num_tokens, num_kv_heads, head_dim] into the cache, then q's attention
        into out [num_tokens, num_heads * head_dim]. Scores are multiplied by scale, then capped:
        softcap * tanh(score / softcap). With a window, a query at position p sees the keys
        p - window + 1 to p.
        """
        num_heads, num_kv_heads = q.shape[1], k.shape[1]
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        keys[plan.blocks, :, plan.places] = k
        values[plan.blocks, :, plan.places] = v
        for tile in plan.tiles:
            # all query heads that share a K/V head are rows of one matrix
            tile_q = q[tile.rows].transpose(0, 1).reshape(num_kv_heads, -1, q.shape[2])
            tile_k, tile_v = (
                cache[tile.blocks].transpose(0, 1).flatten(1, 2) for cache in (keys, values)
            )
            scores = torch.matmul(tile_q * scale, tile_k.transpose(1, 2)).float()
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            is_hidden = tile.distance < 0
            if window is not None:
                is_hidden = is_hidden | (tile.distance >= window)
            by_head = scores.view(num_heads, *is_hidden.shape)
            shares = torch.softmax(by_head.masked_fill_(is_hidden, float("-inf")), dim=-1)
            mixed = torch.matmul(shares.view(scores.shape).to(v.dtype), tile_v)
            by_head = mixed.view(num_heads, -1, q.shape[2])
            out[tile.rows] = by_head.transpose(0, 1).flatten(1)
