"""Several scorers as one: the weighted mean of their values.

    scorer = { composite = [
        { scorer = "exact_match", weight = 0.7 },
        { scorer = { name = "length", at_most = 200 }, weight = 0.3 },
    ] }

An answer that a part leaves unscored is unscored as a whole, with that part's reason: to leave the
part out would be another scorer for that answer alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Protocol

from pydantic import Field

from tasks.scoring.base import Score, unscored
from tasks.settings.section import Section
from tasks.settings.sections import Mode, Scorer

NAME = "composite"
#: of how the values of parts become one
VERSION = 1


class Declared(Section):
    """A part as it is written."""

    scorer: Scorer
    weight: float = Field(1.0, gt=0, allow_inf_nan=False)


class Judge(Protocol):
    """An instrument."""

    @property
    def metric(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def try_out(self) -> Callable[[], None]: ...
    @property
    def mode(self) -> Mode: ...
    def score(self, text: str, target: str) -> Score: ...


@dataclass(frozen=True, slots=True)
class Part:
    scorer: Judge
    weight: float

    @property
    def told(self) -> str:
        """With version and weight, without the sign that parts a scorer's name from its version:
        0.7 exact_match/1"""
        return f"{_number(self.weight)} {self.scorer.version.replace('@', '/', 1)}"


def composite(parts: Sequence[Part], text: str, target: str) -> Score:
    """The parts' explanations are kept, each with what it gave."""
    total = fsum(part.weight for part in parts)
    values, told = [], []
    for part in parts:
        score = part.scorer.score(text, target)
        if score.value is None:
            return unscored(f"{part.scorer.metric}: {score.unscored_reason}", score.answer)
        values.append(part.weight * score.value)
        told.append(f"{part.scorer.metric} {score.value:.3g} ({score.explanation})")
    # rounding may leave it a last bit above 1
    return Score(min(1.0, fsum(values) / total), None, "; ".join(told))


def parts_of(given: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    """The parts as they are written; None where they are not a list of two tables or more."""
    listed = given.get(NAME)
    if not isinstance(listed, list | tuple) or len(listed) < 2 or len(given) > 1:
        return None
    return tuple(listed) if all(isinstance(part, Mapping) for part in listed) else None


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")
