"""What goes in (SamplingParams), what comes out (Completion, Score), and one request's life in
between (Request).

Knows token ids and plain numbers, never a tensor. A Request keeps three lengths, num_computed <=
num_tokens <= max_length, and everything else about its state is derived from them, so that states
cannot disagree (after mini-sglang).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from engine.errors import InvalidRequestError

__all__ = [
    "Completion",
    "FinishReason",
    "Message",
    "Prompt",
    "Request",
    "SamplingParams",
    "Score",
    "Text",
    "TopLogprobs",
]

Message: TypeAlias = dict[str, Any]
Text: TypeAlias = "str | list[int] | tuple[int, ...]"
Prompt: TypeAlias = "str | list[int] | tuple[int, ...] | list[Message] | tuple[Message, ...]"
FinishReason: TypeAlias = Literal["stop", "length", "error"]
#: (token id, log-probability) of the most probable tokens of one place, the first choice first
TopLogprobs: TypeAlias = tuple[tuple[int, float], ...]

MAX_SEED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one completion is drawn.

    temperature 0 is greedy, and then top_p and seed change nothing. `stop` strings end the text and
    are not part of it. `logprobs=1` returns the log-probability of every generated token (of the
    model, before temperature and top_p).
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    logprobs: int = 0

    def __post_init__(self) -> None:
        stop: object = self.stop  # callers give a string or a list as well
        if isinstance(stop, str):
            object.__setattr__(self, "stop", (stop,))
        elif isinstance(stop, list):
            object.__setattr__(self, "stop", tuple(stop))
        allowed = [
            (
                "max_tokens",
                _is_int(self.max_tokens) and self.max_tokens >= 1,
                "a whole number of at least 1",
            ),
            (
                "temperature",
                _is_number(self.temperature) and 0 <= self.temperature <= 100,
                "a number from 0 to 100",
            ),
            (
                "top_p",
                _is_number(self.top_p) and 0 < self.top_p <= 1,
                "a number above 0 and up to 1",
            ),
            (
                "seed",
                _is_int(self.seed) and 0 <= self.seed <= MAX_SEED,
                f"a whole number from 0 to {MAX_SEED}",
            ),
            (
                "stop",
                isinstance(self.stop, tuple) and all(isinstance(s, str) and s for s in self.stop),
                "strings that are not empty",
            ),
            (
                "logprobs",
                _is_int(self.logprobs) and self.logprobs in (0, 1),
                "0 (none) or 1 (of each generated token)",
            ),
        ]
        for name, is_valid, what in allowed:
            if not is_valid:
                raise InvalidRequestError(
                    f"SamplingParams.{name} is {getattr(self, name)!r}, but it must be {what}."
                )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said to one prompt.

    text          without the stop string and without special tokens
    token_ids     every token that was drawn, the one that ended it included
    logprobs      of token_ids, or empty when SamplingParams.logprobs is 0
    finish_reason "stop" (end token or stop string), "length" (max_tokens or the model's context),
    "error"
    error         why there is no (complete) answer; None when there is one
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    num_prompt_tokens: int
    num_cached_tokens: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Log-likelihood of one continuation after its context.

    logprob is the sum of token_logprobs (natural logarithm); is_greedy says that every token of the
    continuation was the model's first choice. On an error the numbers are NaN and False, never
    zero: unscored is not a score.
    """

    logprob: float
    token_logprobs: tuple[float, ...]
    num_tokens: int
    is_greedy: bool
    error: str | None = None


@dataclass(slots=True, eq=False)
class Request:
    """One request on its way through the scheduler. Mutable; compared by identity.

    token_ids      prompt, then what was generated; what the model is run on          (llm appends)
    num_prompt     how many of token_ids were given                                   (fixed)
    targets        score only: the token expected after position first_target + i     (fixed)
    first_target   score only: first position whose logits are needed                 (fixed)
    num_top        how many of the most probable tokens are wanted in each place      (fixed)
    max_length     token_ids never grows beyond it                                    (fixed)
    num_computed   how many token_ids have their K and V in the cache                 (scheduler)
    num_cached     how many of these were found there at the first admission          (scheduler)
    block_table    physical block of token_ids[i * block_size : …]                    (scheduler)
    block_digests  chained digest of every full block of token_ids, as far as known   (block
                   manager)
    """

    index: int
    token_ids: list[int]
    num_prompt: int
    max_length: int
    params: SamplingParams = field(default_factory=SamplingParams)
    targets: tuple[int, ...] | None = None
    first_target: int = 0
    num_top: int = 0
    num_computed: int = 0
    num_cached: int = -1
    block_table: list[int] = field(default_factory=list)
    block_digests: list[bytes] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top_logprobs: list[TopLogprobs] = field(default_factory=list)
    num_greedy: int = 0
    finish_reason: FinishReason | None = None
    error: str | None = None

    @property
    def is_score(self) -> bool:
        return self.targets is not None

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)

    @property
    def num_uncomputed(self) -> int:
        return len(self.token_ids) - self.num_computed

    @property
    def output_ids(self) -> list[int]:
        return self.token_ids[self.num_prompt :]

    @property
    def max_cached(self) -> int:
        """How many tokens may come from the prefix cache: those whose logits nobody needs."""
        return self.next_logits

    @property
    def next_logits(self) -> int:
        """First position whose logits are still needed. A preempted score request keeps what it
        has.
        """
        return self.first_target + len(self.logprobs) if self.is_score else len(self.token_ids) - 1

    def logit_positions(self, start: int, end: int) -> range:
        """Positions within [start, end) whose logits are needed."""
        return range(max(start, self.next_logits), end)

    def fail(self, reason: str) -> None:
        self.error = reason
        self.finish_reason = "error"
