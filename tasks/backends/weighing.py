"""What the engine says of texts that are given: how likely each is as the answer to a prompt.

All choices of all asks are one batched pass: those of a prompt share its blocks in the KV cache,
and those that differ in their last token alone share one computation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine import LLM, Chat, Score
from tasks.backends.base import Ask, OnProgress, Reply
from tasks.model.failure import Failure
from tasks.model.likelihoods import Likelihood, to_text

#: how a weighed completion ended
WEIGHED = "weighed"


def weigh(
    llm: LLM,
    asks: Sequence[Ask],
    prompt_of: Callable[[Ask], Chat | str],
    failure_of: Callable[[Score], Failure],
    on_progress: OnProgress,
) -> list[Reply]:
    """One reply an ask, in order. Nothing is written, so there are no output tokens; read are the
    prompt, once, and every choice."""
    prompts = [prompt_of(ask) for ask in asks]
    pairs = [
        (prompt, choice)
        for prompt, ask in zip(prompts, asks, strict=True)
        for choice in ask.choices
    ]
    ends: list[int] = []
    for ask in asks:
        ends.append(len(ask.choices) + (ends[-1] if ends else 0))
    scores = llm.score(pairs, lambda done, total: on_progress(done * len(asks) // total, len(asks)))
    return [
        _reply(ask, scores[end - len(ask.choices) : end], failure_of)
        for ask, end in zip(asks, ends, strict=True)
    ]


def _reply(ask: Ask, scores: Sequence[Score], failure_of: Callable[[Score], Failure]) -> Reply:
    failed = next((score for score in scores if score.error is not None), None)
    if failed is not None:
        return Reply(None, "error", None, None, None, failure_of(failed))
    weighed = [
        Likelihood(text, min(score.logprob, 0.0), score.num_tokens)
        for text, score in zip(ask.choices, scores, strict=True)
    ]
    num_read = scores[0].num_context_tokens + sum(score.num_tokens for score in scores)
    return Reply(to_text(weighed), WEIGHED, num_read, None, 0)
