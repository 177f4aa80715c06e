"""What evaluate asks of something that answers prompts: one protocol, whoever stands behind it.

Knows nothing of releases, samples or stores. The failure of one prompt comes back with its reply;
one of the whole backend (model cannot be loaded, endpoint is gone) is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine import SamplingParams
from tasks.model.failure import Failure

#: called with (finished, of how many)
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt as chat messages, and how to draw its answer, the seed included."""

    messages: tuple[Mapping[str, Any], ...]
    sampling: SamplingParams


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `text` is None exactly where `failure` says why."""

    text: str | None
    finish_reason: str
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """Where the answers were computed, and the seconds it took so far."""

    device: str
    dtype: str
    load_s: float
    run_s: float


class Backend(Protocol):
    def answer(self, asks: Sequence[Ask], on_progress: OnProgress) -> list[Reply]:
        """One reply an ask, in order, all in one batched pass."""
        ...

    def facts(self) -> BackendFacts: ...

    def close(self) -> None:
        """Give the memory back."""
        ...
