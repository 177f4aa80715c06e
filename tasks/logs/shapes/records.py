"""What a log format hands on: calls, feedback, and what could not be read.

Values only; how they get into the store is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

#: A value as JSON has it: None, bool, int, float, str, list or dict with text keys.
Json = Any


class UnreadableError(Exception):
    """A line or record cannot be read; the text says why, for the dead letter."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an envelope around a record says, as text: when and on which stream it was logged, and
    an id that tells the pieces of one answer from those of another (`key`)."""

    time: str | None = None
    stream: str | None = None
    key: str | None = None

    def around(self, inner: Facts) -> Facts:
        """Of two envelopes the inner one is nearer to the call."""
        return Facts(inner.time or self.time, inner.stream or self.stream, inner.key or self.key)


class Place(Protocol):
    """Where a value stands: its line (None: in a document), its bytes, and what is around it."""

    @property
    def number(self) -> int | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def facts(self) -> Facts | None: ...


@dataclass(frozen=True, slots=True)
class Feedback:
    """A human or automatic signal on the call `request_id` (None: the call it came with)."""

    kind: str
    request_id: str | None = None
    value: float | None = None
    comment: str | None = None
    corrected: str | None = None
    given_at: datetime | None = None
    by: str | None = None


# not frozen, as values elsewhere are: that makes each of a million calls three times as dear
@dataclass(slots=True)
class Call:
    """One LLM call in canonical names (see expectations.contracts); None is what the log lacks.

    `user` is the plain user id of the log; it is hashed before anything is stored. `feedback`
    came in the same record. Times are UTC without zone; the JSON fields hold JSON values. `facts`
    are of what it was wrapped in, and no part of what it is. `unread`: keys of the record that mean
    nothing to us; what they hold is in the tags.
    """

    request_id: str | None = None
    started_at: datetime | None = None
    provider: str | None = None
    model: str | None = None
    release: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    session_id: str | None = None
    user: str | None = None
    user_hash: str | None = None
    operation: str | None = None
    messages: Json = None
    response: Json = None
    tool_calls: Json = None
    finish_reason: str | None = None
    params: Json = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    ttft_s: float | None = None
    latency_s: float | None = None
    cost_usd: float | None = None
    status: str | None = None
    error_type: str | None = None
    http_status: int | None = None
    retries: int | None = None
    guardrail_verdicts: Json = None
    tags: dict[str, Json] = field(default_factory=dict)
    feedback: tuple[Feedback, ...] = ()
    facts: Facts | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dead:
    """A record that could not be read. `raw` None: the bytes of the whole line or file."""

    error: str
    raw: bytes | None = None


class Note(Dead):
    """What tells of the file rather than of a record: kept however many records are dead."""


@dataclass(frozen=True, slots=True)
class Other:
    """Telemetry that is no call (tool, agent and parent spans, metrics): counted, never a row."""

    count: int = 1


Record = Call | Feedback | Dead | Other
