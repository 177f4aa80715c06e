"""What one step's attention has to do, worked out once and used in every layer; and what the model
asks of attention, whoever computes it: torch_attention.py, or a kernel of ours (kernels/cpu.py,
kernels/gpu.py).

Knows positions and block tables; nothing of requests, models or the values in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.cache.kv_cache import BLOCK_SIZE, KVCache

__all__ = ["Attention", "FlatPlan", "Span", "plan_flat"]


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens of one sequence in the batch: rows [row, row + num_tokens) are its positions [start,
    start + num_tokens).
    """

    row: int
    start: int
    num_tokens: int
    block_table: Sequence[int]


class Attention(Protocol):
    """Holds the KV cache and reads it: torch's or one of our own kernels."""

    @property
    def cache(self) -> KVCache: ...

    def plan(self, spans: Sequence[Span]) -> Any:
        """What one step has to do, the same in every layer."""

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: Any, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v into the cache, then q's attention into out."""


@dataclass(frozen=True, slots=True, eq=False)
class FlatPlan:
    """All int32.

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
