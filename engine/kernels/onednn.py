"""Matrix products in bfloat16 with weights packed once for oneDNN, which has AMX kernels.

torch's own F.linear packs the weight anew at every call; at small batches that costs as much as the
product. The packed form is torch's, used by its compiler too; a weight is only packed after one
trial gave F.linear's values. Bits: rows.py tries tile sizes, as for F.linear. Knows nothing of
models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["OneDnnMatrix", "linear", "pack"]

#: rows that the packed form is chosen for; it works, and is measured, for any number
USUAL_ROWS = 64


@dataclass(frozen=True, slots=True, eq=False)
class OneDnnMatrix:
    """A weight [num_out, num_in] in the layout oneDNN asked for."""

    packed: Tensor
    num_out: int
    num_in: int


def pack(weight: Tensor) -> OneDnnMatrix | None:
    """None where this torch or processor cannot, or gives other values than F.linear."""
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), USUAL_ROWS)
        matrix = OneDnnMatrix(packed, *weight.shape)
        x = torch.linspace(-1, 1, 2 * weight.shape[1]).view(2, -1).to(weight.dtype)
        expected, got = F.linear(x, weight).float(), linear(x, matrix).float()
    except (RuntimeError, AttributeError):
        return None
    largest = max(expected.abs().max().item(), 1e-6)
    return matrix if (expected - got).abs().max().item() <= 0.02 * largest else None


def linear(x: Tensor, weight: OneDnnMatrix, bias: Tensor | None = None) -> Tensor:
    """x [rows, num_in] · weightᵀ + bias → [rows, num_out]."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(
        x.contiguous(), weight.packed, bias, "none", [], ""
    )
    return result
