"""The Triton kernels as functions of tensors: the same names and shapes as cpu.py.

On CUDA devices where Triton is installed (it comes with torch's CUDA build). Owns tile sizes and
the paged cache on a GPU. Every row of a result has the same bits in any batch (gpu_kernels.py says
why). Knows nothing of models or requests.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.attention.plan import FlatPlan, Span, plan_flat
from engine.cache.kv_cache import BLOCK_SIZE, KVCache

__all__ = [
    "ExactMatrix",
    "TritonAttention",
    "can_run",
    "linear",
    "reduce_logits",
    "rms_norm",
    "rotate",
    "silu_mul",
    "why_not",
]

#: rows of every product in attention: one width, so that no chunking of a prompt changes a bit;
#: the smallest that Hopper's matrix unit takes
TILE_ROWS = 64
TILE_KEYS = 64


@dataclass(frozen=True, slots=True, eq=False)
class ExactMatrix:
    """A weight [num_out, num_in] for our own matrix product: cuBLAS sums in another order for
    another number of rows."""

    weight: Tensor


def can_run(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether tensors of this device and dtype run through Triton."""
    return device.type == "cuda" and dtype.is_floating_point and not why_not()


@functools.cache
def why_not() -> str:
    """Why there is no Triton here; empty if there is. FLYWHEEL_NATIVE=0 turns it off."""
    if os.environ.get("FLYWHEEL_NATIVE") == "0":
        return "turned off by FLYWHEEL_NATIVE=0"
    return "" if importlib.util.find_spec("triton") else "Triton is not installed"


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _power_of_2(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()


def _precision(dtype: torch.dtype) -> str:
    """float32 means float32: Triton's default would be tf32."""
    return "ieee" if dtype == torch.float32 else "tf32"


@dataclass(frozen=True, slots=True)
class Tiles:
    """Sizes of a matrix product's tiles; they do not change a bit. is_described: tiles are loaded
    by Hopper's copy engine."""

    rows: int
    outs: int
    ins: int
    warps: int
    stages: int
    is_described: bool = False


#: from the fewest loads a product to the most programs; measured on an H100
HOPPER_TILES = (
    Tiles(256, 128, 64, 8, 4, is_described=True),
    Tiles(128, 128, 64, 8, 4, is_described=True),
    Tiles(128, 64, 128, 4, 4, is_described=True),
    Tiles(64, 64, 128, 4, 4, is_described=True),
    Tiles(64, 32, 128, 4, 6, is_described=True),
)
#: within the shared memory of any GPU
OTHER_TILES = (
    Tiles(128, 128, 64, 8, 3),
    Tiles(128, 64, 64, 4, 3),
    Tiles(64, 64, 64, 4, 4),
    Tiles(64, 32, 128, 4, 3),
)
FLOAT32_TILES = Tiles(64, 32, 32, 4, 2)


def _tiles(x: Tensor, weight: Tensor) -> Tiles:
    """The largest tiles that give two thirds of the processors something to do."""
    num_rows, num_out = x.shape[0], weight.shape[0]
    if x.dtype == torch.float32:
        return FLOAT32_TILES
    device = _device(x.device.index)
    sizes: tuple[Tiles, ...] = OTHER_TILES
    if device.major >= 9 and x.stride(0) % 8 == 0 and x.shape[1] % 8 == 0:
        sizes = HOPPER_TILES
    enough = device.multi_processor_count * 2 // 3
    for tiles in sizes:
        num_programs = _ceil(num_rows, tiles.rows) * _ceil(num_out, tiles.outs)
        if tiles.rows <= _power_of_2(num_rows) and num_programs >= enough:
            return tiles
    return sizes[-1]


@functools.cache
def _device(index: int | None) -> Any:
    return torch.cuda.get_device_properties(index)


def linear(
    x: Tensor, matrix: ExactMatrix, bias: Tensor | None = None, residual: Tensor | None = None
) -> Tensor:
    """x [rows, num_in] · weightᵀ + bias + residual [rows, num_out] → [rows, num_out]."""
    return product(x, matrix.weight, bias, residual, _tiles(x, matrix.weight))


def product(
    x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, tiles: Tiles
) -> Tensor:
    """linear in tiles of given sizes."""
    from engine.kernels.gpu_kernels import matmul_kernel

    num_rows, num_in = x.shape
    num_out = weight.shape[0]
    assert weight.shape[1] == num_in, (x.shape, weight.shape)
    assert x.stride(1) == 1, x.stride()
    out = torch.empty(num_rows, num_out, dtype=x.dtype, device=x.device)
    if not num_rows:
        return out
    operands: tuple[object, object] = (x, weight)
    if tiles.is_described:
        from triton.tools.tensor_descriptor import TensorDescriptor

        operands = (
            TensorDescriptor.from_tensor(x, [tiles.rows, tiles.ins]),
            TensorDescriptor.from_tensor(weight, [tiles.outs, tiles.ins]),
        )
    matmul_kernel[(_ceil(num_rows, tiles.rows) * _ceil(num_out, tiles.outs),)](
        *operands, bias, residual, out, num_rows, num_out, num_in, x.stride(0),
        IS_DESCRIBED=tiles.is_described, HAS_BIAS=bias is not None,
        HAS_RESIDUAL=residual is not None, PRECISION=_precision(x.dtype), ROWS=tiles.rows,
        OUTS=tiles.outs, INS=tiles.ins, GROUP=8, num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip
    return out


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x [rows, width] or [rows, heads, width], normalised over the last dimension. A float32
    weight is multiplied before rounding to x's dtype, any other after."""
    from engine.kernels.gpu_kernels import rms_norm_kernel

    by_head = x if x.dim() == 3 else x[:, None]
    rows, heads, width = by_head.shape
    assert by_head.stride(2) == 1, x.stride()
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if rows:
        size = _power_of_2(width)
        rms_norm_kernel[(rows, heads)](
            x, weight, out, by_head.stride(0), by_head.stride(1), heads, width, eps,
            IS_WIDE=weight.dtype == torch.float32, WIDTH=size,
            num_warps=min(8, max(1, size // 512)),
        )  # fmt: skip
    return out


def silu_mul(both: Tensor) -> Tensor:
    """[rows, 2n] of gate, then up → silu(gate) * up, [rows, n]."""
    from engine.kernels.gpu_kernels import silu_mul_kernel

    rows, width = both.shape[0], both.shape[1] // 2
    out = torch.empty(rows, width, dtype=both.dtype, device=both.device)
    if rows:
        silu_mul_kernel[(rows, _ceil(width, 1024))](both, out, width, SIZE=1024)
    return out


def rotate(qkv: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, heads: int) -> None:
    """Rotary embedding of the first `heads` heads of qkv [rows, all heads, head_dim], in place.

    cos, sin: [max_position, head_dim / 2] float32; positions: [rows] int64.
    """
    from engine.kernels.gpu_kernels import rotate_kernel

    half = cos.shape[1]
    assert qkv.shape[2] == 2 * half, (qkv.shape, cos.shape)
    if qkv.shape[0]:
        rotate_kernel[(qkv.shape[0],)](
            qkv, cos, sin, positions, qkv.stride(0), heads, half,
            HEADS=_power_of_2(heads), HALF=_power_of_2(half),
        )  # fmt: skip


def reduce_logits(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row: the first largest [rows] int64, and logsumexp [rows] (not finite where the
    logits are not)."""
    from engine.kernels.gpu_kernels import reduce_logits_kernel

    rows, width = logits.shape
    best = torch.empty(rows, dtype=torch.int64, device=logits.device)
    log_sums = torch.empty(rows, dtype=torch.float32, device=logits.device)
    if rows:
        reduce_logits_kernel[(rows,)](logits, best, log_sums, width, SIZE=4096, num_warps=8)
    return best, log_sums


class TritonAttention:
    """Reads the paged cache through block tables, one tile of queries and one K/V head a program.
    The cache has one block more than it was asked for: `scratch_block`, for rows nobody wants."""

    def __init__(
        self, num_layers: int, num_blocks: int, num_heads: int, num_kv_heads: int, head_dim: int,
        dtype: torch.dtype, device: torch.device,
    ) -> None:  # fmt: skip
        group = num_heads // num_kv_heads
        assert group <= TILE_ROWS, f"{group} query heads share a K/V head"
        self.tile_tokens = TILE_ROWS // group
        self.scratch_block = num_blocks
        self._heads = (num_kv_heads, group, head_dim)
        self._device = device
        size = (num_layers, num_blocks + 1, num_kv_heads, BLOCK_SIZE, head_dim)
        self.cache = KVCache.zeros(*size, dtype=dtype, device=device)

    def plan(self, spans: Sequence[Span]) -> FlatPlan:
        """Once a step, for all layers."""
        return plan_flat(spans, self.tile_tokens).to(self._device)

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: FlatPlan, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v [num_tokens, num_kv_heads, head_dim] into the cache, then q's attention
        into out [num_rows, num_heads * head_dim]. The three are views of one qkv."""
        from engine.kernels.gpu_kernels import attend_kernel, write_kernel

        num_kv_heads, group, head_dim = self._heads
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        write_kernel[(k.shape[0],)](
            k, v, k.stride(0), keys, values, plan.slots, KV_HEADS=num_kv_heads,
            HEAD_DIM=head_dim, BLOCK=BLOCK_SIZE, SIZE=_power_of_2(num_kv_heads * head_dim),
        )  # fmt: skip
        attend_kernel[(len(plan.tiles), num_kv_heads)](
            q, keys, values, plan.tiles, plan.tables, out, q.stride(0), out.stride(0),
            scale, softcap or 0.0, window or 0, KV_HEADS=num_kv_heads, GROUP=group,
            HEAD_DIM=head_dim, BLOCK=BLOCK_SIZE, HAS_SOFTCAP=softcap is not None,
            HAS_WINDOW=window is not None, PRECISION=_precision(q.dtype), ROWS=TILE_ROWS,
            KEYS=TILE_KEYS if q.dtype != torch.float32 else TILE_KEYS // 2,
            DIM=max(16, _power_of_2(head_dim)), num_warps=4, num_stages=2,
        )  # fmt: skip
