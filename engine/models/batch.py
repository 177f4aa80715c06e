"""One step as tensors: what the runner packs and the model runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One step, packed without padding between sequences.

    token_ids   [num_rows]  rows after num_tokens only fill up the last tile
    positions   [num_rows]
    num_tokens  rows that are real
    tiles       sizes that add up to num_rows
    attention   the step's plan
    logit_rows  [num_logit_rows] rows whose logits are wanted, then any that fill up the last tile
    logit_tiles sizes that add up to num_logit_rows
    """

    token_ids: Tensor
    positions: Tensor
    num_tokens: int
    tiles: tuple[int, ...]
    attention: Any
    logit_rows: Tensor
    logit_tiles: tuple[int, ...]
