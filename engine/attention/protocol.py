"""What the model asks of attention, whoever computes it: torch_attention.py, or a kernel of ours
(kernels/cpu.py, kernels/gpu.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from engine.attention.plan import Span
from engine.cache.kv_cache import KVCache

__all__ = ["Attention"]


class Attention(Protocol):
    """Holds the KV cache and reads it: torch's or one of our own kernels."""

    @property
    def cache(self) -> KVCache: ...

    def plan(self, spans: Sequence[Span]) -> Any:
        """What one step has to do, the same in every layer."""

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: Any, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v into the cache, then q's attention into out."""
