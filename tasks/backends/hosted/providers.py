"""One API as a stream of pieces: what the adapter of each client library comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.backends.base import Ask, Usage


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event of an answer adds. `usage` is of the whole answer, as far as it is told.
    `calls`: of tools, each its place in the answer, its name once, and more of its arguments."""

    text: str = ""
    calls: tuple[tuple[int, str, str], ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    cached_tokens: int | None = None
    served_by: str | None = None


class Provider(Protocol):
    """A client library; each of its requests goes out once, it retries nothing."""

    def stream(self, ask: Ask, parameters: Mapping[str, Any]) -> AsyncIterator[Piece]:
        """One request. Raises TroubleError, or what the client library raises."""
        ...

    async def close(self) -> None: ...
