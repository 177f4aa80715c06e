"""How much clients may ask for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """max_requests: completions that run or wait, of all clients together."""

    max_requests: int = 512
    max_body_bytes: int = 8 << 20
