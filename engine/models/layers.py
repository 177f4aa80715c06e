"""The few tensor functions a decoder layer is made of. Row-wise: a row of the result depends on
that row of the input only.

On a CPU in float32 the product is taken as W·xᵀ ("columns"): MKL is up to 1.7 times faster that way
for few rows, because the large operand is then the one it packs. The choice depends on device and
dtype alone, never on timing or batch, so that bits stay the same from run to run.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.models.config import RopeScaling

__all__ = ["feed_forward", "linear", "rms_norm", "rope_tables", "rotate", "uses_columns"]


def uses_columns(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [rows, in] · weight [out, in]ᵀ + bias → [rows, out], contiguous."""
    if not uses_columns(weight):
        return F.linear(x, weight, bias)
    result = F.linear(weight, x).t().contiguous()
    return result if bias is None else result.add_(bias)


def feed_forward(
    x: Tensor,
    gate_up: Tensor,
    down: Tensor,
    gate_up_bias: Tensor | None,
    down_bias: Tensor | None,
    kind: str,
) -> Tensor:
    """down · activated(gate_up · x) → [rows, hidden]; gate_up [2 * intermediate, hidden] holds
    gate, then up; kind "gelu" has no gate.

    In columns the activations stay transposed between the two products, which saves two copies.
    """
    if not uses_columns(gate_up):
        return F.linear(activated(F.linear(x, gate_up, gate_up_bias), kind, -1), down, down_bias)
    both = F.linear(gate_up, x)
    if gate_up_bias is not None:
        both += gate_up_bias[:, None]
    result = torch.mm(down, activated(both, kind, 0)).t().contiguous()
    return result if down_bias is None else result.add_(down_bias)


def activated(both: Tensor, kind: str, dim: int) -> Tensor:
    """silu(gate) * up, gelu(gate) * up or gelu(up); gate is dim's first half, up the second."""
    if kind == "gelu":
        return F.gelu(both, approximate="tanh")
    gate, up = both.chunk(2, dim=dim)
    return (F.silu(gate) if kind == "swiglu" else F.gelu(gate, approximate="tanh")).mul_(up)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) * weight over the last dimension; the mean is taken in float32. A float32 weight
    is multiplied before rounding to x's dtype (Gemma), any other after (Llama).
    """
    wide = x.float()
    scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    if weight.dtype == torch.float32:
        return (wide * scale * weight).to(x.dtype)
    return weight * (wide * scale).to(x.dtype)


def rope_tables(
    head_dim: int,
    max_position: int,
    theta: float,
    scaling: RopeScaling | None,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """cos and sin, [max_position, 1, head_dim / 2] in float32."""
    frequencies = 1.0 / (
        theta ** (torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim)
    )
    frequencies = _scaled(frequencies, scaling)
    angles = torch.outer(torch.arange(max_position).float(), frequencies)[:, None, :].to(device)
    return angles.cos(), angles.sin()


def _scaled(frequencies: Tensor, scaling: RopeScaling | None) -> Tensor:
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    if scaling.kind == "factors":
        return frequencies / torch.tensor(scaling.factors)
    # Llama 3: long wavelengths are stretched by the factor, short ones kept, those between
    # interpolated.
    wavelength = 2 * math.pi / frequencies
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    smooth = (scaling.original_max_position / wavelength - low) / (high - low)
    between = (1 - smooth) * frequencies / scaling.factor + smooth * frequencies
    scaled = torch.where(
        wavelength > scaling.original_max_position / low, frequencies / scaling.factor, frequencies
    )
    is_between = (wavelength <= scaling.original_max_position / low) & (
        wavelength >= scaling.original_max_position / high
    )
    return torch.where(is_between, between, scaled)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of x [rows, heads, head_dim]; cos, sin [rows, 1, head_dim / 2] of
    x's dtype.
    """
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
