"""The Triton kernels behind gpu.py. Importing this needs Triton.

Nothing here depends on how many rows there are: a program computes its rows by themselves, sums
over K go up in steps of one tensor-core instruction, and keys are read from the first one in steps
of a fixed width. So a row has the same bits in any batch. Sums are in float32, rounded once.
Sources: FlashAttention-2 (online softmax), PagedAttention (block tables), Triton's tutorials
(grouped order of tiles), Thinking Machines (2025).
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["num_rows"])
def matmul_kernel(
    x, w, bias, residual, out,
    num_rows, num_out, num_in, x_stride,
    IS_DESCRIBED: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_RESIDUAL: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr, OUTS: tl.constexpr, INS: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """out [num_rows, num_out] = x [num_rows, num_in] · w [num_out, num_in]ᵀ + bias + residual.

    IS_DESCRIBED: x and w are tensor descriptors, which the copy engine follows; else pointers.
    """
    # GROUP tiles of rows share the reading of a tile of w
    program = tl.program_id(0)
    row_tiles = tl.cdiv(num_rows, ROWS)
    per_group = GROUP * tl.cdiv(num_out, OUTS)
    first_tile = (program // per_group) * GROUP
    size = min(row_tiles - first_tile, GROUP)
    first_row = (first_tile + (program % per_group) % size) * ROWS
    first_column = (program % per_group) // size * OUTS
    row = first_row + tl.arange(0, ROWS)
    column = first_column + tl.arange(0, OUTS)

    total = tl.zeros((ROWS, OUTS), dtype=tl.float32)
    if IS_DESCRIBED:
        for first in range(0, num_in, INS):
            a = x.load([first_row, first])
            b = w.load([first_column, first])
            total = tl.dot(a, b.T, total)
    else:
        place = tl.arange(0, INS)
        x_tile = x + (row % num_rows)[:, None].to(tl.int64) * x_stride + place[None, :]
        w_tile = w + (column % num_out)[None, :].to(tl.int64) * num_in + place[:, None]
        for first in range(0, num_in, INS):
            is_in = place < num_in - first
            a = tl.load(x_tile, mask=is_in[None, :], other=0.0)
            b = tl.load(w_tile, mask=is_in[:, None], other=0.0)
            total = tl.dot(a, b, total, input_precision=PRECISION)
            x_tile += INS
            w_tile += INS
    is_real = (row < num_rows)[:, None] & (column < num_out)[None, :]
    target = row[:, None].to(tl.int64) * num_out + column[None, :]
    if HAS_BIAS:
        total += tl.load(bias + column, mask=column < num_out, other=0.0).to(tl.float32)[None, :]
    if HAS_RESIDUAL:
        total += tl.load(residual + target, mask=is_real, other=0.0).to(tl.float32)
    tl.store(out + target, total.to(out.dtype.element_ty), mask=is_real)


@triton.jit
def rms_norm_kernel(
    x, weight, out, x_row_stride, x_head_stride, heads, width, eps,
    IS_WIDE: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One row of one head. IS_WIDE: the weight is multiplied before rounding."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    place = tl.arange(0, WIDTH)
    is_in = place < width
    values = tl.load(x + row * x_row_stride + head * x_head_stride + place, mask=is_in, other=0.0)
    values = values.to(tl.float32)
    values *= 1.0 / tl.sqrt(tl.sum(values * values, axis=0) / width + eps)
    scale = tl.load(weight + place, mask=is_in, other=0.0)
    dtype = out.dtype.element_ty
    result = (values * scale).to(dtype) if IS_WIDE else values.to(dtype) * scale
    tl.store(out + (row * heads + head) * width + place, result, mask=is_in)


@triton.jit
def silu_mul_kernel(both, out, width, SIZE: tl.constexpr):
    """out [rows, width] = silu(gate) * up of both [rows, 2 * width]."""
    row = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * SIZE + tl.arange(0, SIZE)
    is_in = place < width
    gate = tl.load(both + row * 2 * width + place, mask=is_in, other=0.0).to(tl.float32)
    up = tl.load(both + row * 2 * width + width + place, mask=is_in, other=0.0).to(tl.float32)
    result = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(out + row * width + place, result.to(out.dtype.element_ty), mask=is_in)


@triton.jit
def rotate_kernel(
    qkv, cos, sin, positions, row_stride, heads, half,
    HEADS: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """Rotary embedding of the first heads of one row, in place."""
    row = tl.program_id(0).to(tl.int64)
    head, place = tl.arange(0, HEADS), tl.arange(0, HALF)
    is_in = (head < heads)[:, None] & (place < half)[None, :]
    angle = tl.load(positions + row) * half + place
    c = tl.load(cos + angle, mask=place < half, other=0.0)[None, :]
    s = tl.load(sin + angle, mask=place < half, other=0.0)[None, :]
    target = qkv + row * row_stride + head[:, None] * (2 * half) + place[None, :]
    first = tl.load(target, mask=is_in, other=0.0).to(tl.float32)
    second = tl.load(target + half, mask=is_in, other=0.0).to(tl.float32)
    dtype = qkv.dtype.element_ty
    tl.store(target, (first * c - second * s).to(dtype), mask=is_in)
    tl.store(target + half, (second * c + first * s).to(dtype), mask=is_in)


@triton.jit
def reduce_logits_kernel(logits, best, log_sums, width, SIZE: tl.constexpr):
    """Of one row: the first largest, and logsumexp."""
    row = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, SIZE)
    top = tl.full((SIZE,), float("-inf"), tl.float32)
    where = tl.full((SIZE,), 0, tl.int32)
    total = tl.zeros((SIZE,), tl.float32)
    for first in range(0, width, SIZE):
        column = first + place
        value = tl.load(logits + row * width + column, mask=column < width, other=float("-inf"))
        new_top = tl.maximum(top, value)
        safe = tl.where(new_top == float("-inf"), 0.0, new_top)
        total = total * tl.exp(top - safe) + tl.exp(value - safe)
        where = tl.where(value > top, column, where)
        top = new_top
    largest = tl.max(top, axis=0)
    first_largest = tl.min(tl.where(top == largest, where, width), axis=0)
    tl.store(best + row, tl.minimum(first_largest, width - 1).to(tl.int64))
    tl.store(log_sums + row, largest + tl.log(tl.sum(total * tl.exp(top - largest), axis=0)))


@triton.jit
def write_kernel(
    k, v, row_stride, keys, values, slots,
    KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """Keys and values of one token into the cache [num_blocks, KV_HEADS, BLOCK, HEAD_DIM]."""
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64)
    place = tl.arange(0, SIZE)
    is_in = place < KV_HEADS * HEAD_DIM
    head, dim = place // HEAD_DIM, place % HEAD_DIM
    target = ((slot // BLOCK * KV_HEADS + head) * BLOCK + slot % BLOCK) * HEAD_DIM + dim
    tl.store(keys + target, tl.load(k + row * row_stride + place, mask=is_in), mask=is_in)
    tl.store(values + target, tl.load(v + row * row_stride + place, mask=is_in), mask=is_in)


@triton.jit
def attend_kernel(
    q, keys, values, tiles, tables, out, q_stride, out_stride, scale, softcap, window,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr,
    HAS_SOFTCAP: tl.constexpr, HAS_WINDOW: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, KEYS: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """Queries of one tile (tiles [num_tiles, 4]: row, start, tokens, offset in tables) and one
    K/V head over the paged cache. Row r is token r // GROUP, query head r % GROUP of the K/V head.
    """
    tile, kv_head = tl.program_id(0), tl.program_id(1)
    first_row = tl.load(tiles + tile * 4).to(tl.int64)
    start = tl.load(tiles + tile * 4 + 1)
    count = tl.load(tiles + tile * 4 + 2)
    table = tables + tl.load(tiles + tile * 4 + 3)

    row, dim = tl.arange(0, ROWS), tl.arange(0, DIM)
    token = row // GROUP
    is_real = (token < count)[:, None] & (dim < HEAD_DIM)[None, :]
    place = (kv_head * GROUP + row % GROUP)[:, None] * HEAD_DIM + dim[None, :]
    query = tl.load(q + (first_row + token)[:, None] * q_stride + place, mask=is_real, other=0.0)
    position = start + token
    end = start + count
    first = 0
    if HAS_WINDOW:  # from the step of keys that holds the first one anybody sees
        first = tl.maximum(start - window + 1, 0) // KEYS * KEYS

    top = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    result = tl.zeros((ROWS, DIM), tl.float32)
    for first_key in range(first, end, KEYS):
        key = first_key + tl.arange(0, KEYS)
        is_key = key < end
        block = tl.load(table + key // BLOCK, mask=is_key, other=0).to(tl.int64)
        slot = ((block * KV_HEADS + kv_head) * BLOCK + key % BLOCK) * HEAD_DIM
        is_in = is_key[:, None] & (dim < HEAD_DIM)[None, :]
        k = tl.load(keys + slot[:, None] + dim[None, :], mask=is_in, other=0.0)
        scores = tl.dot(query, tl.trans(k), input_precision=PRECISION) * scale
        if HAS_SOFTCAP:
            scores = softcap * (1.0 - 2.0 / (1.0 + tl.exp(2.0 * scores / softcap)))
        is_seen = key[None, :] <= position[:, None]
        if HAS_WINDOW:
            is_seen = is_seen & (key[None, :] > position[:, None] - window)
        scores = tl.where(is_seen, scores, float("-inf"))
        new_top = tl.maximum(top, tl.max(scores, axis=1))
        safe = tl.where(new_top == float("-inf"), 0.0, new_top)
        weights = tl.exp(scores - safe[:, None])
        shrink = tl.exp(top - safe)
        total = total * shrink + tl.sum(weights, axis=1)
        v = tl.load(values + slot[:, None] + dim[None, :], mask=is_in, other=0.0)
        result = result * shrink[:, None]
        result = tl.dot(weights.to(v.dtype), v, result, input_precision=PRECISION)
        top = new_top
    result = result / total[:, None]
    target = out + (first_row + token)[:, None] * out_stride + place
    tl.store(target, result.to(out.dtype.element_ty), mask=is_real)
