"""The few tensor functions a decoder layer is made of. Row-wise: a row of the result depends on
that row of the input only.

Our own kernels compute them (engine/kernels: C++ on a CPU, Triton on CUDA), where neither runs
torch's.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.kernels import cpu, gpu, onednn
from engine.models.rope import RopeScaling

__all__ = [
    "Matrix",
    "feed_forward",
    "linear",
    "own_kernels",
    "reduce_logits",
    "rms_norm",
    "rope_tables",
    "rotate",
    "soft_cap",
]

#: a weight [out, in], as torch or as the native kernels keep it
Matrix: TypeAlias = "Tensor | cpu.PackedMatrix | gpu.ExactMatrix | onednn.OneDnnMatrix"


def own_kernels(device: torch.device, dtype: torch.dtype) -> ModuleType | None:
    """The module of our kernels for such tensors; None: torch has to do it. Only ours give a row
    the same bits in any batch.
    """
    if cpu.can_run(device, dtype):
        return cpu
    return gpu if gpu.can_run(device, dtype) else None


def _native(x: Tensor) -> ModuleType | None:
    return own_kernels(x.device, x.dtype)


def linear(
    x: Tensor, weight: Matrix, bias: Tensor | None = None, residual: Tensor | None = None
) -> Tensor:
    """residual + x [rows, in] · weight [out, in]ᵀ + bias → [rows, out], contiguous."""
    if isinstance(weight, cpu.PackedMatrix):
        return cpu.linear(x, weight, bias, residual)
    if isinstance(weight, gpu.ExactMatrix):
        return gpu.linear(x, weight, bias, residual)
    if isinstance(weight, onednn.OneDnnMatrix):
        result = onednn.linear(x, weight, bias)
    else:
        result = F.linear(x, weight, bias)
    return result if residual is None else residual + result


def feed_forward(
    x: Tensor,
    gate_up: Matrix,
    down: Matrix,
    gate_up_bias: Tensor | None,
    down_bias: Tensor | None,
    kind: str,
) -> Tensor:
    """down · activated(gate_up · x) → [rows, hidden]; gate_up [2 * intermediate, hidden] holds
    gate, then up; kind "gelu" has no gate.
    """
    return linear(activated(linear(x, gate_up, gate_up_bias), kind), down, down_bias)


def activated(both: Tensor, kind: str) -> Tensor:
    """silu(gate) * up, gelu(gate) * up or gelu(up); gate is the first half, up the second.

    On a CPU torch's gelu and silu give a value other bits at the end of a thread's share than
    within it, and where the shares end depends on the number of threads.
    """
    native = _native(both)
    if native is cpu:
        return {"swiglu": cpu.silu_mul, "geglu": cpu.gelu_mul, "gelu": cpu.gelu}[kind](both)
    if kind == "gelu":
        return F.gelu(both, approximate="tanh")
    if kind == "swiglu" and native is not None:
        return native.silu_mul(both)  # type: ignore[no-any-return]
    gate, up = both.chunk(2, dim=-1)
    return (F.silu(gate) if kind == "swiglu" else F.gelu(gate, approximate="tanh")).mul_(up)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) * weight over the last dimension; the mean is taken in float32. A float32 weight
    is multiplied before rounding to x's dtype (Gemma), any other after (Llama).
    """
    if (native := _native(x)) is not None:
        return native.rms_norm(x, weight, eps)  # type: ignore[no-any-return]
    wide = x.float()
    scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    if weight.dtype == torch.float32:
        return (wide * scale * weight).to(x.dtype)
    return weight * (wide * scale).to(x.dtype)


def soft_cap(logits: Tensor, cap: float) -> Tensor:
    """cap * tanh(logit / cap); float32, may be in place."""
    if _native(logits) is cpu:
        return cpu.soft_cap(logits, cap)
    return (logits / cap).tanh_().mul_(cap)


def rope_tables(
    head_dim: int,
    max_position: int,
    theta: float,
    scaling: RopeScaling | None,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """cos and sin, [max_position, head_dim / 2] in float32."""
    frequencies = 1.0 / (
        theta ** (torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim)
    )
    frequencies = _scaled(frequencies, scaling)
    angles = torch.outer(torch.arange(max_position).float(), frequencies).to(device)
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


def rotate(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, num_heads: int) -> None:
    """Rotary position embedding of the first num_heads of x [rows, heads, head_dim], in place.

    cos, sin: [max_position, head_dim / 2] float32; positions: [rows].
    """
    if (native := _native(x)) is not None:
        native.rotate(x, cos, sin, positions, num_heads)
        return
    cos, sin = (table[positions].to(x.dtype)[:, None, :] for table in (cos, sin))
    rotated = x[:, :num_heads]
    first, second = rotated.chunk(2, dim=-1)
    rotated.copy_(torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1))


def reduce_logits(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row [vocab_size]: the first largest [rows], and logsumexp [rows] (not finite where
    the logits are not)."""
    if (native := _native(logits)) is not None:
        return native.reduce_logits(logits)  # type: ignore[no-any-return]
    return logits.argmax(dim=-1), torch.logsumexp(logits, dim=-1)
