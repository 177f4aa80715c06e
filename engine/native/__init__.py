"""Kernels of our own for CPUs, compiled at first use. See kernels.cpp, build.py, cpu.py."""

from engine.native.cpu import (
    NativeAttention,
    PackedMatrix,
    can_pack,
    can_run,
    linear,
    pack,
    pack_codes,
    reduce_logits,
    rms_norm,
    rotate,
    silu_mul,
)

__all__ = [
    "NativeAttention",
    "PackedMatrix",
    "can_pack",
    "can_run",
    "linear",
    "pack",
    "pack_codes",
    "reduce_logits",
    "rms_norm",
    "rotate",
    "silu_mul",
]
