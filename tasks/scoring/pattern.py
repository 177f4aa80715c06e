"""regex: a regular expression in the answer.

Without `pattern` the target is the expression, and an answer in which it is found is right. With
`pattern`, what its first group found (else the whole of what was found) has to be the target, after
normalisation. The `regex` package gives up after a time, which Python's own `re` cannot.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import regex
from pydantic import Field, field_validator

from tasks.scoring.base import Score, normalise, right, shown, unscored, wrong
from tasks.settings.section import Section


class PatternParameters(Section):
    pattern: str = Field("", description="what to find in every answer; empty: the target is it")
    ignore_case: bool = Field(False, description="letters match in either case")
    timeout_s: float = Field(1.0, gt=0, le=60, description="seconds for one answer")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            regex.compile(value)
        except regex.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return value


def pattern(text: str, target: str, parameters: PatternParameters) -> Score:
    source = parameters.pattern or target
    if not source:
        return unscored("the target is empty")
    if parameters.pattern and not normalise(target):
        return unscored("the target is empty")
    try:
        compiled = _compiled(source, parameters.ignore_case)
    except regex.error as error:
        return unscored(f"the target {shown(target)} is no regular expression: {error}")
    try:
        found = compiled.search(text, timeout=parameters.timeout_s)
    except TimeoutError:
        return unscored(f"{shown(source)} took more than {parameters.timeout_s:g} s on this answer")
    if found is None:
        return wrong(text.strip(), f"{shown(source)} is not found in {shown(text)}")
    if not parameters.pattern:
        return right(found.group(), f"{shown(source)} found {shown(found.group())}")
    answer = found.group(1 if compiled.groups else 0) or ""
    if normalise(answer) == normalise(target):
        return right(answer, f"found {shown(answer)}, which is the target")
    return wrong(answer, f"found {shown(answer)}, not {shown(target)}")


@lru_cache(maxsize=4096)
def _compiled(source: str, ignore_case: bool) -> Any:
    return regex.compile(source, regex.IGNORECASE if ignore_case else 0)
