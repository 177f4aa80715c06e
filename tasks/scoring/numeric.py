"""numeric: the last number in the answer equals the target within a relative 1e-6.

Reads 1,234.5 and -3 and 2e3 and 12%; the last number counts because models state the result last.
"""

from __future__ import annotations

import math
import re

from tasks.scoring.base import Score, right, shown, unscored, wrong

_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?!\w)"
)
_RELATIVE = 1e-6


def numeric(text: str, target: str) -> Score:
    wanted = _numbers(target)
    if len(wanted) != 1:
        return unscored(f"the target {shown(target)} is not one number")
    found = _numbers(text)
    if not found:
        return wrong(text.strip(), f"{shown(text)} contains no number")
    answer = f"{found[-1]:g}"
    if math.isclose(found[-1], wanted[0], rel_tol=_RELATIVE, abs_tol=1e-9):
        return right(answer, f"the last number {answer} equals {wanted[0]:g}")
    return wrong(answer, f"the last number is {answer}, not {wanted[0]:g}")


def _numbers(text: str) -> list[float]:
    values = (float(m.group().replace(",", "").replace("−", "-")) for m in _NUMBER.finditer(text))
    return [value for value in values if math.isfinite(value)]
