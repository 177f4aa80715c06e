"""What is in the blocks: K and V of every layer, in torch's layout. The CPU kernels have one of
their own (kernels/cpu.py).

Knows block numbers; nothing of whose they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BLOCK_SIZE", "KVCache"]

BLOCK_SIZE = 32  # tokens of one K/V block


@dataclass(frozen=True, slots=True)
class KVCache:
    """keys and values: [num_layers, num_blocks, num_kv_heads, block_size, head_dim]."""

    keys: Tensor
    values: Tensor

    @classmethod
    def allocate(
        cls,
        num_layers: int,
        num_blocks: int,
        num_kv_heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> KVCache:
        size = (num_layers, num_blocks, num_kv_heads, BLOCK_SIZE, head_dim)
        # Zeros, not empty: a NaN left in a slot nobody wrote would survive the multiplication by
        # its probability of 0.
        return cls(
            torch.zeros(size, dtype=dtype, device=device),
            torch.zeros(size, dtype=dtype, device=device),
        )

    def scrub(self, blocks: Sequence[int]) -> None:
        """Overwrite blocks whose content is not finite, so that their next owner does not inherit
        it.
        """
        for block in blocks:
            self.keys[:, block].zero_()
            self.values[:, block].zero_()

    def copy_blocks(
        self, sources: Sequence[int], targets: Sequence[int], lengths: Sequence[int]
    ) -> None:
        """Copy the first lengths[i] slots of block sources[i] to block targets[i], and zero the
        slots after them: what a stranger left there may be NaN. All are read before any is written.
        """
        device = self.keys.device
        source, target = (torch.tensor(list(b), device=device) for b in (sources, targets))
        slot = torch.arange(self.keys.shape[3], device=device)
        is_beyond = slot[None, :] >= torch.tensor(list(lengths), device=device)[:, None]
        for layer in (*self.keys, *self.values):
            copied = layer.index_select(0, source)
            copied.masked_fill_(is_beyond[:, None, :, None], 0)
            layer.index_copy_(0, target, copied)
