"""What is in the blocks: K and V of every layer.

Knows block numbers; nothing of whose they are, or of what the numbers mean.
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
    """keys and values: [num_layers, num_blocks, num_kv_heads, block_size, head_dim]; keys with the
    last two the other way round if keys_turned. Zeros at first, because a NaN in a slot that nobody
    wrote would survive the multiplication by its probability of 0.
    """

    keys: Tensor
    values: Tensor
    keys_turned: bool = False

    @classmethod
    def zeros(cls, *size: int, dtype: torch.dtype, device: torch.device) -> KVCache:
        keys = torch.zeros(size, dtype=dtype, device=device)
        return cls(keys, torch.zeros_like(keys))

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
        source, target, length = (
            torch.tensor(list(numbers), device=device) for numbers in (sources, targets, lengths)
        )
        is_beyond = torch.arange(BLOCK_SIZE, device=device) >= length[:, None]
        by_row, by_column = is_beyond[:, None, :, None], is_beyond[:, None, None, :]
        key_mask = by_column if self.keys_turned else by_row
        for cache, mask in ((self.keys, key_mask), (self.values, by_row)):
            for layer in cache:
                copied = layer.index_select(0, source).masked_fill_(mask, 0)
                layer.index_copy_(0, target, copied)
