"""What the model asks of attention, whoever computes it: torch_attention.py, or a kernel of ours
(kernels/cpu.py, kernels/gpu.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from engine.attention.plan import Span

__all__ = ["Attention"]


class Attention(Protocol):
    """Holds the KV cache and reads it: torch's or one of our own kernels."""

    def plan(self, spans: Sequence[Span]) -> Any:
        """What one step has to do, the same in every layer."""

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: Any, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v into the cache, then q's attention into out."""

    def copy_blocks(
        self, sources: Sequence[int], targets: Sequence[int], lengths: Sequence[int]
    ) -> None:
        """Copy the first lengths[i] tokens of block sources[i] to block targets[i]."""

    def scrub(self, blocks: Sequence[int]) -> None:
        """Overwrite blocks whose content is not finite: their next owner must not inherit it."""
