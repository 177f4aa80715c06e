"""The native kernels as functions of tensors: shapes checked, memory allocated, pointers passed.

Owns the layout of packed weights and of the native KV cache. In float32 and bfloat16 (rounded once,
from float32). Every row of a result has the same bits in any batch and with any number of threads
(kernels.cpp says why). Knows nothing of models or requests.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.attention.plan import FlatPlan, Span, plan_flat
from engine.cache.kv_cache import BLOCK_SIZE, KVCache
from engine.kernels.build import build

__all__ = [
    "NativeAttention",
    "PackedMatrix",
    "can_run",
    "gelu",
    "gelu_mul",
    "linear",
    "pack",
    "pack_codes",
    "reduce_logits",
    "rms_norm",
    "rotate",
    "silu_mul",
    "soft_cap",
    "why_not",
]

TILE_TOKENS = 16  # queries that share the reading of K and V


@dataclass(frozen=True, slots=True, eq=False)
class PackedMatrix:
    """A weight [num_out, num_in] as panels [num_panels, num_in, panel] of floats; or of codes, int8
    or two in a uint8, with scales [num_panels, num_in / 32, panel].
    """

    panels: Tensor
    num_out: int
    num_in: int
    bits: int = 32
    scales: Tensor | None = None


class _Attention(ctypes.Structure):
    _fields_ = (
        ("num_heads", ctypes.c_int64), ("num_kv_heads", ctypes.c_int64),
        ("head_dim", ctypes.c_int64), ("window", ctypes.c_int64),
        ("scale", ctypes.c_float), ("softcap", ctypes.c_float),
    )  # fmt: skip


def can_run(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this device and dtype run natively. Compiles at the first call."""
    is_kind = dtype in (torch.float32, torch.bfloat16)
    return device.type == "cpu" and is_kind and build().library is not None


def why_not() -> str:
    """Why there are no native kernels here; empty if there are."""
    return build().reason


def _call(name: str, *arguments: Tensor | int | float | ctypes.Structure | None) -> None:
    function = getattr(build().library, name)
    function(*(_argument(argument) for argument in arguments))


def _panel() -> int:
    """Columns of a panel on this processor."""
    library = build().library
    assert library is not None
    return int(library.fw_panel())


def _untouched_zeros(size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """From calloc, so that memory is taken only once it is written to."""
    number = np.float32 if dtype == torch.float32 else np.int16
    return torch.from_numpy(np.zeros(size, number)).view(dtype)


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _argument(value: Tensor | int | float | ctypes.Structure | None) -> object:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, float):
        return ctypes.c_float(value)
    return ctypes.c_int64(value) if isinstance(value, int) else ctypes.byref(value)


def pack(weight: Tensor) -> PackedMatrix:
    """weight [num_out, num_in], float32, contiguous."""
    panel = _panel()
    num_out, num_in = weight.shape
    panels = torch.empty(-(-num_out // panel), num_in, panel)
    _call("fw_pack", weight.contiguous(), num_out, num_in, panels)
    return PackedMatrix(panels, num_out, num_in)


def pack_codes(codes: Tensor, scales: Tensor, bits: int) -> PackedMatrix:
    """codes int8 [num_out, num_in], scales [num_out, num_in / 32]; a value is code * scale.
    bits 4: codes from -8 to 7, two in a byte.
    """
    panel = _panel()
    num_out, num_in = codes.shape

    def in_panels(values: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(values, (0, 0, 0, -num_out % panel))
        return padded.view(-1, panel, values.shape[1]).transpose(1, 2).contiguous()

    packed = in_panels(codes)
    if bits == 4:
        low, high = (packed + 8).to(torch.uint8).chunk(2, dim=-1)
        packed = low | (high << 4)
    return PackedMatrix(packed, num_out, num_in, bits, in_panels(scales.float()))


def linear(
    x: Tensor, weight: PackedMatrix, bias: Tensor | None = None, residual: Tensor | None = None
) -> Tensor:
    """x [rows, num_in] · weightᵀ + bias + residual [rows, num_out] → [rows, num_out]."""
    assert x.shape[1] == weight.num_in, (x.shape, weight.num_in)
    assert x.stride(1) == 1, x.stride()
    wide, *more = (t if t is None else t.float() for t in (x, bias, residual))
    out = torch.empty(x.shape[0], weight.num_out)
    _call("fw_linear", wide, x.stride(0), weight.panels, weight.bits, weight.scales, *more,
          out, x.shape[0], weight.num_out, weight.num_in)  # fmt: skip
    return out.to(x.dtype)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) * weight over the last dimension; weight as x or in float32."""
    x = x.contiguous()
    out = torch.empty_like(x)
    _call(f"fw_rms_norm_{_name(x)}_{_name(weight)}", x, weight, eps, out,
          x.numel() // x.shape[-1], x.shape[-1])  # fmt: skip
    return out


def silu_mul(both: Tensor) -> Tensor:
    """[rows, 2n] of gate, then up → silu(gate) * up, [rows, n]."""
    return _activated("silu_mul", both, both.shape[1] // 2)


def gelu_mul(both: Tensor) -> Tensor:
    """The same with gelu, in its tanh form."""
    return _activated("gelu_mul", both, both.shape[1] // 2)


def gelu(up: Tensor) -> Tensor:
    """In its tanh form, of [rows, n]."""
    return _activated("gelu", up, up.shape[1])


def _activated(kind: str, x: Tensor, width: int) -> Tensor:
    assert x.is_contiguous(), x.stride()
    out = torch.empty(x.shape[0], width, dtype=x.dtype)
    _call(f"fw_{kind}_{_name(x)}", x, out, x.shape[0], width)
    return out


def soft_cap(values: Tensor, cap: float) -> Tensor:
    """cap * tanh(value / cap), float32, in place."""
    assert values.is_contiguous(), values.stride()
    _call("fw_soft_cap", values, values.numel(), float(cap))
    return values


def rotate(qkv: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, heads: int) -> None:
    """Rotary embedding of the first `heads` heads of qkv [rows, all heads, head_dim], in place.

    cos, sin: [max_position, rotary_dim / 2] float32; positions: [rows] int64.
    """
    rows, _, head_dim = qkv.shape
    _call(f"fw_rotate_{_name(qkv)}", qkv, qkv.stride(0), positions, cos, sin, rows, heads, head_dim,
          2 * cos.shape[1])  # fmt: skip


def reduce_logits(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row: the first largest [rows] int64, and logsumexp [rows] (not finite where the
    logits are not)."""
    rows, vocab_size = logits.shape
    best, log_sums = torch.empty(rows, dtype=torch.int64), torch.empty(rows)
    _call("fw_reduce_logits", logits, rows, vocab_size, best, log_sums)
    return best, log_sums


class NativeAttention:
    """Keys [layers, blocks, kv_heads, head_dim, 32], values [layers, blocks, kv_heads, 32, padded
    head_dim], in float32 or bfloat16."""

    def __init__(
        self, num_layers: int, num_blocks: int, num_heads: int, num_kv_heads: int, head_dim: int,
        dtype: torch.dtype,
    ) -> None:  # fmt: skip
        panel = _panel()
        padded = -(-head_dim // panel) * panel
        size = (num_layers, num_blocks, num_kv_heads)
        keys = _untouched_zeros((*size, head_dim, BLOCK_SIZE), dtype)
        self.cache = KVCache(keys, _untouched_zeros((*size, BLOCK_SIZE, padded), dtype), True)
        self._heads = (num_heads, num_kv_heads, head_dim)
        self._kernel = f"fw_attend_{_name(keys)}"

    def plan(self, spans: Sequence[Span]) -> FlatPlan:
        """Once a step, for all layers."""
        return plan_flat(spans, TILE_TOKENS)

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: FlatPlan, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v [num_tokens, num_kv_heads, head_dim] into the cache, then q's attention
        into out [num_tokens, num_heads * head_dim]. The three are views of one qkv."""
        assert q.stride(0) == k.stride(0) == v.stride(0), "q, k and v must be views of one tensor"
        shape = _Attention(*self._heads, window or 0, scale, softcap or 0.0)
        slots, tiles = plan.slots, plan.tiles
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        _call(self._kernel, shape, q, k, v, q.stride(0), keys, values, slots, len(slots), tiles,
              len(tiles), plan.tables, out)  # fmt: skip
