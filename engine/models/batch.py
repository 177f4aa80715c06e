"""One step as tensors: what the runner packs and the model runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One step, packed without padding between sequences.

    token_ids   [num_tokens]
    positions   [num_tokens]
    attention   the step's plan
    logit_rows  [num_logit_rows] rows whose logits are wanted
    """

    token_ids: Tensor
    positions: Tensor
    attention: Any
    logit_rows: Tensor
