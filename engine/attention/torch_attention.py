"""Attention over the paged KV cache, with results that do not depend on who else is in the batch.

Owns the layout of the cache, [num_blocks, num_kv_heads, block_size, head_dim] a layer, and the one
algorithm that reads it. Gets its work as an AttentionPlan; nothing here knows of requests or
models.

All query heads that share a K/V head are rows of one matrix. Each (tile, block) pair is one matrix
product of a fixed shape, whatever else runs. Scores of a tile are softmaxed row by row, and P·V is
summed block after block in the order of the sequence. So neither the other sequences, nor the order
of the batch, nor the way a prompt was cut into chunks can change a bit, provided that a row of a
product does not depend on how many rows the tile has; `choose_rows` measures that on this machine
and pads the small tiles until it holds. Sources: FlashAttention-2's tiling; Thinking Machines,
"Defeating nondeterminism in LLM inference" (2025).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attention.plan import (
    TILE_TOKENS,
    AttentionPlan,
    AttentionShape,
    Span,
    TileGroup,
    plan_attention,
)
from engine.cache.kv_cache import BLOCK_SIZE, KVCache

__all__ = ["TorchAttention"]


def write_kv(cache: Tensor, new: Tensor, slots: Tensor) -> None:
    """Write new [num_tokens, num_kv_heads, head_dim] into one layer's cache. Mutates cache."""
    head_dim = cache.shape[-1]
    cache.view(-1, head_dim).index_copy_(0, slots, new.reshape(-1, head_dim))


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    plan: AttentionPlan,
    shape: AttentionShape,
    out: Tensor,
    *,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> None:
    """Causal attention of queries [num_rows, num_heads, head_dim] over one layer's cache.

    keys, values: [num_blocks, num_kv_heads, block_size, head_dim]. Writes the rows of the plan into
    out [num_rows, num_heads * head_dim]; other rows are left alone. K and V of this step must be
    written before. Scores are multiplied by scale, then capped: softcap * tanh(score / softcap).
    With a window, a query at position p sees the keys p - window + 1 to p.
    """
    queries = queries * scale
    for group in plan.groups:
        q = _tile_queries(queries, group, shape)
        mask = group.mask
        if window is not None:
            key = torch.arange(mask.shape[-1], device=mask.device)
            mask = mask | (key <= group.positions - window)
        k = keys.index_select(0, group.blocks)
        probabilities = _softmaxed_scores(q, k, group, shape, mask, softcap)
        result = _weighted_values(probabilities, values.index_select(0, group.blocks), group, shape)
        tile_rows = group.tokens * shape.group_size
        by_token = (*result.shape[:2], group.tokens, shape.group_size, shape.head_dim)
        result = result[:, :, :tile_rows].reshape(by_token).permute(0, 2, 1, 3, 4)
        flat = result.reshape(group.num_tiles * group.tokens, shape.num_heads * shape.head_dim)
        out.index_copy_(0, group.scatter, flat.index_select(0, group.kept).to(out.dtype))


def _tile_queries(queries: Tensor, group: TileGroup, shape: AttentionShape) -> Tensor:
    """[num_tiles, num_kv_heads, rows, head_dim]: row t * group_size + g is token t, query head g of
    the K/V head.
    """
    q = queries.index_select(0, group.gather)
    q = q.view(group.num_tiles, group.tokens, shape.num_kv_heads, shape.group_size, shape.head_dim)
    q = q.permute(0, 2, 1, 3, 4).reshape(group.num_tiles, shape.num_kv_heads, -1, shape.head_dim)
    padding = group.rows - q.shape[2]
    return torch.nn.functional.pad(q, (0, 0, 0, padding)) if padding else q.contiguous()


def _softmaxed_scores(
    q: Tensor,
    keys: Tensor,
    group: TileGroup,
    shape: AttentionShape,
    mask: Tensor,
    softcap: float | None,
) -> Tensor:
    """[num_tiles, num_kv_heads, rows, num_levels, block_size] in float32."""
    levels = len(group.level_sizes)
    size = (group.num_tiles, shape.num_kv_heads, group.rows, levels, shape.block_size)
    scores = torch.empty(size, dtype=torch.float32, device=q.device)
    first = 0
    for level, count in enumerate(group.level_sizes):
        k = keys[first : first + count].flatten(0, 1).transpose(1, 2)
        product = torch.bmm(q[:count].flatten(0, 1), k)
        scores[:count, :, :, level].copy_(
            product.view(count, shape.num_kv_heads, group.rows, shape.block_size)
        )
        first += count
    if softcap is not None:
        scores.div_(softcap).tanh_().mul_(softcap)
    # Levels that a tile does not have were never written; the mask covers them, whatever they hold.
    flat = scores.flatten(3).masked_fill_(mask, float("-inf"))
    return torch.softmax(flat, dim=-1).view(size)


def _weighted_values(
    probabilities: Tensor, values: Tensor, group: TileGroup, shape: AttentionShape
) -> Tensor:
    """Sum over the blocks in the order of the sequence: [num_tiles, num_kv_heads, rows, head_dim]
    in float32.
    """
    size = (group.num_tiles, shape.num_kv_heads, group.rows, shape.head_dim)
    result = torch.zeros(size, dtype=torch.float32, device=values.device)
    first = 0
    for level, count in enumerate(group.level_sizes):
        weights = probabilities[:count, :, :, level].flatten(0, 1).to(values.dtype)
        product = torch.bmm(weights, values[first : first + count].flatten(0, 1))
        result[:count] += product.view(count, *size[1:])
        first += count
    return result


class TorchAttention:
    """The algorithm above with its cache: on every device, in every dtype."""

    def __init__(
        self, num_layers: int, num_blocks: int, num_heads: int, num_kv_heads: int, head_dim: int,
        dtype: torch.dtype, device: torch.device, exact: bool,
    ) -> None:  # fmt: skip
        self._shape = choose_rows(
            num_heads, num_kv_heads, head_dim, BLOCK_SIZE, dtype, device, exact
        )
        self._cache = KVCache.allocate(
            num_layers, num_blocks, num_kv_heads, head_dim, dtype, device
        )
        self._device = device

    def plan(self, spans: Sequence[Span]) -> AttentionPlan:
        """Once a step, for all layers."""
        return plan_attention(spans, self._shape, self._device)

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v [num_tokens, num_kv_heads, head_dim] into the cache, then q's attention
        into out [num_rows, num_heads * head_dim]."""
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        write_kv(keys, k, plan.slots)
        write_kv(values, v, plan.slots)
        attend(q, keys, values, plan, self._shape, out, scale=scale, window=window, softcap=softcap)

    def scrub(self, blocks: Sequence[int]) -> None:
        self._cache.scrub(blocks)

    def copy_blocks(
        self, sources: Sequence[int], targets: Sequence[int], lengths: Sequence[int]
    ) -> None:
        self._cache.copy_blocks(sources, targets, lengths)


def choose_rows(
    num_heads: int,
    num_kv_heads: int,
    head_dim: int,
    block_size: int,
    dtype: torch.dtype,
    device: torch.device,
    exact: bool,
) -> AttentionShape:
    """The matrix rows for every tile width; with exact=True, such that all widths give a query the
    same bits.
    """
    group_size = num_heads // num_kv_heads
    needed = {tokens: tokens * group_size for tokens in TILE_TOKENS}
    rows = dict(needed)
    if exact:
        generator = torch.Generator().manual_seed(0)
        largest = -(-max(needed.values()) // 4) * 4
        a = torch.randn(48, largest, head_dim, generator=generator).to(device, dtype)
        k = (
            torch.randn(48, block_size, head_dim, generator=generator)
            .to(device, dtype)
            .transpose(1, 2)
        )
        p = torch.rand(48, largest, block_size, generator=generator).to(device, dtype)
        v = torch.randn(48, block_size, head_dim, generator=generator).to(device, dtype)
        for tokens, least in needed.items():
            candidates = range(-(-least // 4) * 4, largest, 4)
            agree = (r for r in candidates if _rows_agree(a, k, r) and _rows_agree(p, v, r))
            rows[tokens] = next(agree, largest)
    return AttentionShape(num_heads, num_kv_heads, head_dim, block_size, rows)


def _rows_agree(a: Tensor, b: Tensor, rows: int) -> bool:
    """Does a product of `rows` rows give the bits of the full product, in a batch and alone,
    wherever the rows stand?
    """
    full = torch.bmm(a, b)
    few = a[:, -rows:].contiguous()
    return torch.equal(torch.bmm(few, b), full[:, -rows:]) and torch.equal(
        torch.bmm(few[:1], b[:1]), full[:1, -rows:]
    )
