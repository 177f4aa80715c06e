"""Which device, which dtype and how much memory, when the caller leaves it to the engine.

"auto" depends on the machine's kind only, never on a timing, so that a rerun on the same machine
computes the same.
"""

from __future__ import annotations

import os

import torch

from engine.errors import EngineError

__all__ = ["default_cache_bytes", "pick_device", "pick_dtype"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MAX_CPU_CACHE_BYTES = 2 << 30
CPU_CACHE_SHARE = 0.3
CUDA_CACHE_SHARE = 0.8


def pick_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise EngineError(
            f"Device {device!r} is not known. Allowed: 'auto', 'cpu', 'cuda', 'cuda:N'."
        ) from None
    if chosen.type not in ("cpu", "cuda"):
        raise EngineError(
            f"Device {device!r} is not supported. Allowed: 'auto', 'cpu', 'cuda', 'cuda:N'."
        )
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"Device {device!r} is not there: torch sees {torch.cuda.device_count()} CUDA devices."
        )
    return chosen


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it fast (CUDA, AMX), float32 elsewhere."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" or _has_amx() else torch.float32
    if dtype not in DTYPES:
        raise EngineError(
            f"dtype {dtype!r} is not supported. Allowed: 'auto', {', '.join(map(repr, DTYPES))}."
        )
    return DTYPES[dtype]


def default_cache_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * CUDA_CACHE_SHARE)
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(MAX_CPU_CACHE_BYTES, int(available * CPU_CACHE_SHARE))


def _has_amx() -> bool:
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported is not None and supported())
