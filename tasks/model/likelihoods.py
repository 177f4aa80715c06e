"""How likely a model holds given texts to be its answer: the text of a completion that was weighed
and not written.

It is kept as any completion is, under the same key and with the same cache, so whoever reads it is
a scorer like others, and another way to count the same log-likelihoods computes nothing anew. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.model.canonical import canonical_json

_KEY = "loglikelihoods"


@dataclass(frozen=True, slots=True)
class Likelihood:
    """`logprob`: natural logarithm of the probability of all `num_tokens` of the text."""

    text: str
    logprob: float
    num_tokens: int


def to_text(likelihoods: Sequence[Likelihood]) -> str:
    """As JSON on one line. No "<" stands in it: what looks like thoughts is cut out of answers."""
    parts = [
        {"text": one.text, "logprob": one.logprob, "num_tokens": one.num_tokens}
        for one in likelihoods
    ]
    return canonical_json({_KEY: parts}).replace("<", "\\u003c")


def from_text(text: str) -> tuple[Likelihood, ...]:
    """Raises ValueError on what `to_text` does not write."""
    try:
        value = json.loads(text)
        read = tuple(
            Likelihood(part["text"], float(part["logprob"]), part["num_tokens"])
            for part in value[_KEY]
        )
    except (ValueError, RecursionError, KeyError, TypeError):
        raise ValueError("no log-likelihoods") from None
    if not read or not all(isinstance(one.text, str) and one.logprob <= 0 for one in read):
        raise ValueError("no log-likelihoods")
    if not all(math.isfinite(one.logprob) for one in read):
        raise ValueError("no log-likelihoods")
    return read
