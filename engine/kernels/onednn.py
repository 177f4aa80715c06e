"""Matrix products in bfloat16 with weights packed once for oneDNN, which has AMX kernels.

torch's own F.linear packs the weight anew at every call; at small batches that costs as much as the
product. The packed form is torch's, used by its compiler too. oneDNN picks another order of
summation for another number of rows; where bits are to be kept, every call has the same number. A
weight is only packed after one trial gave F.linear's values, and bits that do not depend on a row's
place. Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["OneDnnMatrix", "can_run", "linear", "pack"]

#: of every call that keeps bits: two rows of AMX tiles
FIXED_ROWS = 32


@dataclass(frozen=True, slots=True, eq=False)
class OneDnnMatrix:
    """A weight [num_out, num_in] in the layout oneDNN asked for."""

    packed: Tensor
    exact: bool


def can_run(dtype: torch.dtype) -> bool:
    """Whether it is worth a trial: bfloat16, where the processor has AVX512."""
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return dtype == torch.bfloat16 and ask is not None and bool(ask())


def pack(weight: Tensor, exact: bool) -> OneDnnMatrix | None:
    """None where this torch or processor cannot, or gives other values than F.linear."""
    x = torch.linspace(-1, 1, FIXED_ROWS * weight.shape[1]).view(FIXED_ROWS, -1).to(weight.dtype)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), FIXED_ROWS)
        matrix = OneDnnMatrix(packed, exact)
        expected, got = F.linear(x, weight).float(), linear(x, matrix).float()
        turned = linear(x.roll(5, 0), matrix).float().roll(-5, 0)
    except (RuntimeError, AttributeError):
        return None
    largest = max(expected.abs().max().item(), 1e-6)
    is_close = (expected - got).abs().max().item() <= 0.02 * largest
    return matrix if is_close and (torch.equal(got, turned) or not exact) else None


def linear(x: Tensor, weight: OneDnnMatrix, bias: Tensor | None = None) -> Tensor:
    """x [rows, num_in] · weightᵀ + bias → [rows, num_out]."""
    num_rows = x.shape[0]
    if weight.exact:
        x = F.pad(x, (0, 0, 0, -num_rows % FIXED_ROWS))
    parts: list[Tensor] = [
        torch.ops.mkldnn._linear_pointwise(part.contiguous(), weight.packed, bias, "none", [], "")
        for part in (torch.split(x, FIXED_ROWS) if weight.exact else (x,))
    ]
    return torch.cat(parts)[:num_rows] if len(parts) != 1 else parts[0][:num_rows]
