"""How a model is run, as plain values: light to import, so that a command line can make them before
torch is there.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EngineOptions"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is run; the meaning of each is at LLM."""

    device: str = "auto"
    dtype: str = "auto"
    batch_invariant: bool = True
    kv_cache_bytes: int | None = None
    max_batch_tokens: int | None = None
    quantization: str | None = None
