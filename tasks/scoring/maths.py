"""maths: the answer's last formula equals the target's, as math-verify tells, which reads LaTeX
and plain expressions and compares them with sympy.

In a process with limits: an answer can be a formula that takes for ever.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from tasks.scoring.base import Score
from tasks.scoring.process import LimitedFunction, Source
from tasks.settings.section import Section

_MEMORY_BYTES = 2**30


class MathsParameters(Section):
    digits: int = Field(6, ge=1, le=15, description="decimals in which numbers have to agree")
    timeout_s: int = Field(
        5, ge=1, le=600,
        description="processor seconds an answer may take; twelve times as many by the clock",
    )  # fmt: skip


def maths(text: str, target: str, parameters: MathsParameters) -> Score:
    return _in_process(parameters.timeout_s).score(text, target, {"digits": parameters.digits})


@cache
def _in_process(timeout_s: int) -> LimitedFunction:
    path = Path(__file__).with_name("maths_worker.py")
    source = Source(path.stem, "equals", path, path.read_text(encoding="utf-8"), path.parent)
    return LimitedFunction(source, timeout_s, _MEMORY_BYTES)
