"""Whether a kernel of ours runs, and which: the one home of this decision. Only our kernels give a
row the same bits in any batch.
"""

from __future__ import annotations

from types import ModuleType

import torch

from engine.kernels import cpu, gpu

__all__ = ["own_kernels"]


def own_kernels(device: torch.device, dtype: torch.dtype) -> ModuleType | None:
    """The module of our kernels for such tensors; None: torch has to do it."""
    if cpu.can_run(device, dtype):
        return cpu
    return gpu if gpu.can_run(device, dtype) else None
