"""From how likely each of a prompt's choices is as its answer to a reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine import Score
from tasks.backends.base import Reply
from tasks.model.failure import Failure
from tasks.model.likelihoods import Likelihood, to_text

#: how a weighed completion ended
WEIGHED = "weighed"


def weighed_reply(
    choices: Sequence[str], scores: Sequence[Score], failure_of: Callable[[Score], Failure]
) -> Reply:
    """Nothing is written, so there are no output tokens; read are the prompt, once, and every
    choice."""
    failed = next((score for score in scores if score.error is not None), None)
    if failed is not None:
        return Reply(None, "error", None, None, None, failure_of(failed))
    weighed = [
        Likelihood(text, min(score.logprob, 0.0), score.num_tokens)
        for text, score in zip(choices, scores, strict=True)
    ]
    num_read = scores[0].num_context_tokens + sum(score.num_tokens for score in scores)
    return Reply(to_text(weighed), WEIGHED, num_read, None, 0)
