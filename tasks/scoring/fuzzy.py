"""fuzzy: how alike answer and target are letter by letter, as rapidfuzz computes it, from 0 to 1,
after normalisation.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.scoring.base import Score, normalise, right, shown, unscored, wrong
from tasks.settings.section import Section


class FuzzyParameters(Section):
    how: Literal["ratio", "partial_ratio", "token_sort_ratio", "token_set_ratio"] = Field(
        "ratio", description="of the whole texts, of the best part, of sorted words, of word sets"
    )
    at_least: float | None = Field(
        None, gt=0, le=1, description="from here on an answer is right, below it is wrong"
    )


def fuzzy(text: str, target: str, parameters: FuzzyParameters) -> Score:
    from rapidfuzz import fuzz

    wanted, answer = normalise(target), normalise(text)
    if not wanted:
        return unscored("the target is empty")
    if not answer:
        return wrong(text.strip(), "the answer is empty")
    value = getattr(fuzz, parameters.how)(answer, wanted) / 100
    note = f"{shown(text)} is {value:.3f} like {shown(target)}"
    if parameters.at_least is None:
        return Score(value, text.strip(), note)
    return (right if value >= parameters.at_least else wrong)(
        text.strip(), f"{note}, and {parameters.at_least:g} is right"
    )
