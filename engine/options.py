"""How a model is run, as plain values: light to import, so that a command line can make them before
torch is there. And `option`: a field that says what it means and what it may hold, once, for
whoever checks it, documents it or makes a flag of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Allowed", "EngineOptions", "option"]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a value must be, in words and as a test."""

    words: str
    test: Callable[[Any], bool]


def option(
    default: Any, text: str, allowed: Allowed | None = None, choices: Sequence[str] | None = None
) -> Any:
    """A dataclass field with its meaning."""
    return field(default=default, metadata={"text": text, "allowed": allowed, "choices": choices})


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is run; the meaning of each is at LLM."""

    device: str = option("auto", "auto, cpu, cuda, cuda:N")
    dtype: str = option("auto", "auto, float32, bfloat16, float16")
    batch_invariant: bool = option(True, "the same bits in every batch")
    kv_cache_bytes: int | None = option(None, "memory for K and V; None: a share")
    max_batch_tokens: int | None = option(None, "tokens of one step; None: 512")
    quantization: str | None = option(None, "of the layers' matrices", choices=("int8", "int4"))
