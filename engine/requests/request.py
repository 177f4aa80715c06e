"""What comes out (Completion, Score), and one request's life before that (Request). What goes in
stands in sampling_params.py.

Knows token ids and plain numbers, never a tensor. A Request keeps three lengths, num_computed <=
num_tokens <= max_length, and everything else about its state is derived from them, so that states
cannot disagree (after mini-sglang).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from engine.errors import EngineError, FaultKind
from engine.loading.chat import Chat, Message
from engine.sampling.params import SamplingParams

if TYPE_CHECKING:
    from engine.sampling.grammar import GrammarState, Guide

__all__ = [
    "Chunk",
    "Completion",
    "FinishReason",
    "Prompt",
    "Request",
    "SamplingParams",
    "Score",
    "Text",
    "TopLogprobs",
]

Text: TypeAlias = "str | list[int] | tuple[int, ...]"
Prompt: TypeAlias = "str | list[int] | tuple[int, ...] | list[Message] | tuple[Message, ...] | Chat"
FinishReason: TypeAlias = Literal["stop", "length", "error"]
#: (token id, log-probability) of the most probable tokens of one place, the first choice first
TopLogprobs: TypeAlias = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said to one prompt.

    text          without the stop string and without special tokens
    token_ids     every token that was drawn, the one that ended it included
    logprobs      of token_ids, or empty when SamplingParams.logprobs is 0
    finish_reason "stop" (end token or stop string), "length" (max_tokens or the model's context),
    "error"
    error         why there is no (complete) answer, for people; None when there is one
    fault         the same for programs: its kind, and with that whether trying again can help
    top_logprobs  the SamplingParams.logprobs most probable tokens in the place of each of token_ids
    alternatives  the other n - 1 completions of the prompt
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    num_prompt_tokens: int
    num_cached_tokens: int
    error: str | None = None
    top_logprobs: tuple[TopLogprobs, ...] = ()
    alternatives: tuple[Completion, ...] = ()
    fault: FaultKind | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Log-likelihood of one continuation after its context.

    logprob is the sum of token_logprobs (natural logarithm); is_greedy says that every token of the
    continuation was the model's first choice. top_logprobs, if asked for: the most probable tokens
    in the place of each token. num_context_tokens: of the context. On an error the numbers are NaN
    and False, never zero: unscored is not a score.
    """

    logprob: float
    token_logprobs: tuple[float, ...]
    num_tokens: int
    is_greedy: bool
    error: str | None = None
    top_logprobs: tuple[TopLogprobs, ...] = ()
    fault: FaultKind | None = None
    num_context_tokens: int = 0


@dataclass(slots=True, eq=False)
class Request:
    """One request on its way through the scheduler. Mutable; compared by identity.

    token_ids      prompt, then what was generated; what the model is run on          (llm appends)
    num_prompt     how many of token_ids were given                                   (fixed)
    targets        score only: the token expected after position first_target + i     (fixed)
    first_target   score only: first position whose logits are needed                 (fixed)
    choices        score only: all tokens whose log-probability is wanted after the last
                   position, where several continuations differ there only; targets[-1] is
                   the first of them                                                  (fixed)
    num_top        how many of the most probable tokens are wanted in each place      (fixed)
    num_answers    how many answers of the call this request stands for               (fixed)
    sample         generate only: which of params.n completions this is               (fixed)
    end_ids        generate only: tokens that end the answer                          (fixed)
    guide          generate only: what the answer must follow                         (fixed)
    grammar        generate only: where the answer stands in it                       (llm advances)
    max_length     token_ids never grows beyond it                                    (fixed)
    num_computed   how many token_ids have their K and V in the cache                 (scheduler)
    num_cached     how many of these were found there at the first admission          (scheduler)
    block_table    physical block of token_ids[i * block_size : …]                    (scheduler)
    block_digests  chained digest of every full block of token_ids, as far as known   (block
                   manager)
    logprobs       of what was generated (if asked for), or of targets                (llm appends)
    top_logprobs, greedy_ids   of the same places                                     (llm appends)
    choice_logprobs            of choices, once known                                 (llm)
    """

    token_ids: list[int]
    num_prompt: int
    max_length: int
    params: SamplingParams = field(default_factory=SamplingParams)
    targets: tuple[int, ...] | None = None
    first_target: int = 0
    choices: tuple[int, ...] = ()
    num_top: int = 0
    num_answers: int = 1
    sample: int = 0
    end_ids: frozenset[int] = frozenset()
    guide: Guide | None = None
    grammar: GrammarState | None = None
    num_computed: int = 0
    num_cached: int = -1
    block_table: list[int] = field(default_factory=list)
    block_digests: list[bytes] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top_logprobs: list[TopLogprobs] = field(default_factory=list)
    greedy_ids: list[int] = field(default_factory=list)
    choice_logprobs: tuple[float, ...] = ()
    finish_reason: FinishReason | None = None
    failure: EngineError | None = None

    @property
    def error(self) -> str | None:
        return None if self.failure is None else str(self.failure)

    @property
    def fault(self) -> FaultKind | None:
        return None if self.failure is None else self.failure.kind

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
    def takes_first_choice(self) -> bool:
        """Generate only: nothing stands between the model's first choice and the next token."""
        params = self.params
        return (
            params.is_greedy
            and params.repetition_penalty == 1
            and self.grammar is None
            and len(self.token_ids) - self.num_prompt >= params.min_tokens
        )

    @property
    def is_left_alone(self) -> bool:
        """The next tokens are the model's first choices, and nobody wants to know more of them."""
        return not self.is_score and self.takes_first_choice and not self.params.logprobs

    @property
    def output_ids(self) -> list[int]:
        return self.token_ids[self.num_prompt :]

    @property
    def next_logits(self) -> int:
        """First position whose logits are still needed; all before it may come from the prefix
        cache. A preempted score request keeps what it has.
        """
        return self.first_target + len(self.logprobs) if self.is_score else len(self.token_ids) - 1

    def logit_positions(self, start: int, end: int) -> range:
        """Positions within [start, end) whose logits are needed."""
        return range(max(start, self.next_logits), end)

    def another_sample(self, sample: int) -> Request:
        """The same request, before anything was computed, as another of params.n completions."""
        return Request(
            list(self.token_ids),
            self.num_prompt,
            self.max_length,
            self.params,
            num_top=self.num_top,
            sample=sample,
            end_ids=self.end_ids,
            guide=self.guide,
            grammar=self.grammar.restart() if self.grammar is not None else None,
        )

    def wanted_after(self, position: int) -> tuple[int, ...]:
        """Score only: the tokens whose log-probability after this position is wanted."""
        assert self.targets is not None
        place = position - self.first_target
        return self.choices if place == len(self.targets) - 1 else self.targets[place : place + 1]

    def forget_cache(self) -> None:
        """As before anything was computed; what was drawn stays."""
        self.num_computed = 0
        self.block_table = []
        self.block_digests = []

    def fail(self, error: EngineError) -> None:
        self.failure = error
        self.finish_reason = "error"


class Chunk(NamedTuple):
    """Run token_ids[start : start + num_tokens] of one request. copy_of: the block that holds
    `start` begins as a copy of this one.
    """

    request: Request
    start: int
    num_tokens: int
    copy_of: int | None = None

    @property
    def end(self) -> int:
        return self.start + self.num_tokens
