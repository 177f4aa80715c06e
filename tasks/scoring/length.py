"""length: whether the answer is as long as it may be. The target is not looked at."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from tasks.scoring.base import Score, right, wrong
from tasks.settings.section import Section

_WORD = re.compile(r"\w+")


class LengthParameters(Section):
    unit: Literal["words", "characters", "lines"] = Field(
        "words",
        description="what is counted: runs of letters, characters, lines that are not empty",
    )
    at_least: int = Field(1, ge=0, description="so many, or more")
    at_most: int | None = Field(None, ge=0, description="so many, or fewer")

    @model_validator(mode="after")
    def _has_room(self) -> LengthParameters:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(f"at_most {self.at_most} is below at_least {self.at_least}")
        return self


def length(text: str, target: str, parameters: LengthParameters) -> Score:
    del target
    answer = text.strip()
    counted = {
        "words": lambda: sum(1 for _ in _WORD.finditer(answer)),
        "characters": lambda: len(answer),
        "lines": lambda: sum(1 for line in answer.splitlines() if line.strip()),
    }[parameters.unit]()
    is_right = parameters.at_least <= counted and (
        parameters.at_most is None or counted <= parameters.at_most
    )
    allowed = f"{parameters.at_least} to {parameters.at_most}"
    if parameters.at_most is None:
        allowed = f"{parameters.at_least} or more"
    told = f"{counted} {parameters.unit}, {allowed} are right"
    return (right if is_right else wrong)(str(counted), told)
