"""numeric: the last number in the answer equals the target, within a tolerance.

Reads 1,234.5 and -3 and 2e3 and 12%; the last number counts because models state the result last.
"""

from __future__ import annotations

import math
import re

from pydantic import Field

from tasks.scoring.base import Score, right, shown, unscored, wrong
from tasks.settings.section import Section

_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?!\w)"
)


class NumericParameters(Section):
    tolerance: float = Field(
        1e-9, ge=0, allow_inf_nan=False, description="the difference that is still right"
    )
    relative_tolerance: float = Field(
        1e-6, ge=0, lt=1, description="the same as a share of the larger number; either is enough"
    )


def numeric(text: str, target: str, parameters: NumericParameters) -> Score:
    wanted = _numbers(target)
    if len(wanted) != 1:
        return unscored(f"the target {shown(target)} is not one number")
    found = _numbers(text)
    if not found:
        return wrong(text.strip(), f"{shown(text)} contains no number")
    answer = f"{found[-1]:g}"
    is_close = math.isclose(
        found[-1],
        wanted[0],
        rel_tol=parameters.relative_tolerance,
        abs_tol=parameters.tolerance,
    )
    if is_close:
        return right(answer, f"the last number {answer} equals {wanted[0]:g}")
    return wrong(answer, f"the last number is {answer}, not {wanted[0]:g}")


def _numbers(text: str) -> list[float]:
    values = (float(m.group().replace(",", "").replace("−", "-")) for m in _NUMBER.finditer(text))
    return [value for value in values if math.isfinite(value)]
