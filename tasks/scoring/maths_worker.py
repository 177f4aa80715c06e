"""Run by worker.py for maths.py: whether two formulas are equal.

math-verify's own limits are off: they are alarms, and what stops it here is the process's limit.
"""

from typing import Any

from math_verify import parse, verify

_MARKS = ("$", "\\(", "\\[", "\\boxed", "\\begin")
_MAX_BARE = 200


def equals(answer: str, target: str, *, digits: int) -> dict[str, Any]:
    wanted = _bare(target) or _read(target)
    if not wanted:
        return {"unscored_reason": f"the target {target[:200]!r} has no formula"}
    readings = [given for given in (_read(answer), _bare(answer)) if given]
    if not readings:
        return {"value": 0, "answer": answer, "explanation": f"{answer[:200]!r} has no formula"}
    for given in readings:
        if verify(wanted, given, float_rounding=digits, timeout_seconds=None):
            said = f"{given[0]} equals {wanted[0]}"
            return {"value": 1, "answer": str(given[0]), "explanation": said}
    said = f"{readings[0][0]} is not {wanted[0]}"
    return {"value": 0, "answer": str(readings[0][0]), "explanation": said}


def _read(text: str) -> list[Any]:
    found: list[Any] = parse(text, parsing_timeout=None)
    return found


def _bare(text: str) -> list[Any]:
    """A line that is a formula without the signs that LaTeX has around one, such as `2\\sqrt{2}`,
    of which math-verify by itself reads the 2."""
    line = text.strip()
    is_bare = len(line) <= _MAX_BARE and "\n" not in line and not any(m in line for m in _MARKS)
    return _read(f"${line}$") if line and is_bare else []
