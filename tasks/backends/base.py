"""What evaluate asks of something that answers prompts: one protocol, whoever stands behind it.

Knows nothing of releases, samples or stores. The failure of one prompt comes back with its reply;
one of the whole backend (model cannot be loaded, endpoint is gone) is raised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engine import SamplingParams
from tasks.model.failure import Failure


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


def ask_text(ask: Ask) -> str:
    """All of an ask but how its answer is drawn, in the order in which a prompt has it."""
    head = [ask.is_raw, ask.continues, dict(ask.template), list(ask.tools)]
    messages = [dict(message) for message in ask.messages]
    return json.dumps([head, messages, ask.choices], sort_keys=True, default=dict)


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


#: called with the place of an ask, and its reply, as soon as it is there
OnReply = Callable[[int, Reply], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """`asks`: how many a backend is handed at a time; `kept`: how many replies are put away at a
    time, as they come in."""

    asks: int
    kept: int


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
    def answer(self, asks: Sequence[Ask], on_reply: OnReply, meter: Meter) -> None:
        """One reply an ask, in any order; of an engine, all in one batched pass."""
        ...

    def pace(self, chunk_size: int, *, is_looked_at: bool) -> Pace:
        """`chunk_size`: by the settings; `is_looked_at`: after so many asks it is looked whether
        more answers are needed, so that they should be few."""
        ...

    def facts(self) -> BackendFacts: ...

    def close(self) -> None:
        """Give the memory back."""
        ...


def replies_of(backend: Backend, asks: Sequence[Ask], meter: Meter) -> list[Reply]:
    """In the order of the asks, once all are there."""
    replies: dict[int, Reply] = {}
    backend.answer(asks, replies.__setitem__, meter)
    return [replies[place] for place in range(len(asks))]
