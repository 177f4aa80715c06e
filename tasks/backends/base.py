"""What evaluate asks of something that answers prompts: one protocol, whoever stands behind it.

Knows nothing of releases, samples or stores. Errors of one prompt come back as answers; an error
of the whole backend (model cannot be loaded, endpoint is gone) is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

#: told (finished, of how many)
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt as chat messages, how to sample its answer, and the seed of the draw."""

    messages: tuple[Mapping[str, Any], ...]
    max_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...]
    seed: int
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop_token_ids: tuple[int, ...] = ()
    min_tokens: int = 0
    json_schema: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `text` is None exactly where `error` says why.

    A transient error (out of memory, a timeout) may not come again and must not be remembered; any
    other error is an answer like any other: the same prompt would meet it again.
    """

    text: str | None
    finish_reason: str
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    error: str | None = None
    is_transient: bool = False


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """Where the answers were computed, and the seconds it took so far."""

    device: str
    dtype: str
    load_s: float
    run_s: float


class Backend(Protocol):
    def answer(self, asks: Sequence[Ask], told: Told) -> list[Answer]:
        """One answer an ask, in order, all in one batched pass."""
        ...

    def facts(self) -> BackendFacts: ...

    def close(self) -> None:
        """Give the memory back."""
        ...
