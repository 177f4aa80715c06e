"""multiple_choice and likelihood: scorers of answers that were weighed and not written.

Both read the log-likelihoods of a sample's choices (tasks/model/likelihoods.py). A model's
log-likelihood of a long text is lower than that of a short one, so choices of different lengths are
often compared by character, as lm-evaluation-harness does in `acc_norm`. Of equally likely choices
the first is taken, as there.
"""

from __future__ import annotations

import math

from pydantic import Field

from tasks.model.likelihoods import Likelihood, from_text
from tasks.scoring.base import Score, right, shown, unscored, wrong
from tasks.settings.section import Section

_MAX_TOLD = 8
_MAX_EXPONENT = 700.0  # of what a float holds


class MultipleChoiceParameters(Section):
    normalised: bool = Field(
        False, description="compare log-likelihoods by character of a choice, not as they are"
    )


def multiple_choice(text: str, target: str, parameters: MultipleChoiceParameters) -> Score:
    """1 where the most likely choice is the target."""
    try:
        choices = from_text(text)
    except ValueError:
        return unscored(f"{shown(text)} holds no log-likelihoods: it was not asked to choose")
    if target not in [choice.text for choice in choices]:
        return unscored(f"the target {shown(target)} is none of the choices")
    worths = [_worth(choice, parameters) for choice in choices]
    best = worths.index(max(worths))
    chosen = choices[best].text
    told = ", ".join(
        f"{shown(choice.text)} {worth:.4g}"
        for choice, worth in zip(choices[:_MAX_TOLD], worths, strict=False)
    )
    more = f" and {len(choices) - _MAX_TOLD} more" if choices[_MAX_TOLD:] else ""
    per = "log-likelihood by character" if parameters.normalised else "log-likelihood"
    explanation = f"the most likely is {shown(chosen)}; {per}: {told}{more}"
    return (right if chosen == target else wrong)(chosen, explanation)


def likelihood(text: str, target: str) -> Score:
    """2 to the power of minus the bits by UTF-8 byte: the geometric mean of what the model gave to
    each byte of the target. 1 is certainty, and half as much is one bit more a byte."""
    try:
        (weighed,) = from_text(text)
    except ValueError:
        return unscored(f"{shown(text)} is not one log-likelihood: no perplexity was asked for")
    num_bytes = len(target.encode())
    if weighed.text != target or not num_bytes:
        return unscored(f"it is the log-likelihood of {shown(weighed.text)}, not of the target")
    bits = -weighed.logprob / math.log(2) / num_bytes
    by_token = -weighed.logprob / weighed.num_tokens
    perplexity = math.exp(min(by_token, _MAX_EXPONENT))
    return Score(
        2.0**-bits,
        None,
        f"{bits:.4f} bits a byte; perplexity {perplexity:.4g} of {weighed.num_tokens} tokens",
    )


def _worth(choice: Likelihood, parameters: MultipleChoiceParameters) -> float:
    """By character without the blanks that only join it to the prompt."""
    if not parameters.normalised:
        return choice.logprob
    return choice.logprob / max(len(choice.text.strip()), 1)
