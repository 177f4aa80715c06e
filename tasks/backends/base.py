"""What evaluate asks of something that answers prompts: one protocol, whoever stands behind it.

Knows nothing of releases, samples or stores. The failure of one prompt comes back with its reply;
one of the whole backend (model cannot be loaded, endpoint is gone) is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engine import SamplingParams
from tasks.model.failure import Failure

#: called with (finished, of how many)
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt as chat messages, and how to draw its answer, the seed included. `tools`: as
    OpenAI's Chat API describes functions; `template`: arguments of a chat template; `continues`:
    the answer goes on with the last message; `choices`: nothing is drawn, the reply's text says how
    likely each of them is as the answer (tasks/model/likelihoods.py); `is_raw`: the texts of the
    messages are the prompt, without a chat template; `tool_choice`: as OpenAI's Chat API puts it,
    None: the model decides; `answer_format`: as tasks/model/answer_format.py says, None: any
    text; `is_single`: a tool is called once at most."""

    messages: tuple[Mapping[str, Any], ...]
    sampling: SamplingParams
    tools: tuple[Mapping[str, Any], ...] = ()
    template: Mapping[str, Any] = field(default_factory=dict)
    continues: bool = False
    choices: tuple[str, ...] = ()
    is_raw: bool = False
    tool_choice: str | Mapping[str, Any] | None = None
    answer_format: Mapping[str, Any] | None = None
    is_single: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `text` is None exactly where `failure` says why."""

    text: str | None
    finish_reason: str
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    failure: Failure | None = None
    #: seconds to the first text and to the end, of an answer that was asked for by itself
    ttft_s: float | None = None
    latency_s: float | None = None
    #: what an API says answered: model and build
    served_by: str | None = None


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """Where the answers were computed, and the seconds it took so far."""

    device: str
    dtype: str
    load_s: float
    run_s: float
    #: that answer side by side, elsewhere; 0: this process does
    num_actors: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were read and written."""

    input_tokens: int
    output_tokens: int


class BudgetSpentError(Exception):
    """Nothing more may be asked in this run; the message says what is spent."""


class Meter(Protocol):
    """Told of every request that may cost money, before it is sent and as soon as it has ended;
    `place` is the ask's. It keeps what was paid for, and says when to stop."""

    def begin(self, place: int, worst: Usage) -> int | None:
        """The number of an attempt that may be sent now and is counted; None: those under way have
        to end first. `worst`: what it may come to. Raises BudgetSpentError."""
        ...

    def arrived(self, attempt: int, place: int, reply: Reply, usage: Usage | None) -> None:
        """A reply that will not be asked for again. `usage` None: not known, so the worst."""
        ...

    def failed(self, attempt: int, *, may_be_billed: bool) -> None: ...

    def spool(self) -> Path:
        """A folder that keeps replies of who answers elsewhere, whatever ends this process
        (tasks/backends/pool/spool.py)."""
        ...


class Backend(Protocol):
    def answer(self, asks: Sequence[Ask], on_progress: OnProgress, meter: Meter) -> list[Reply]:
        """One reply an ask, in order; of an engine, all in one batched pass."""
        ...

    def chunk_size(self, wished: int) -> int:
        """Completions to ask for at a time. `wished`: by the settings."""
        ...

    def facts(self) -> BackendFacts: ...

    def close(self) -> None:
        """Give the memory back."""
        ...
