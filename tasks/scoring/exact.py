"""exact: the answer is the target, character for character. exact_match: after normalisation, and
several right answers are separated in the target by a line break.
"""

from __future__ import annotations

from tasks.scoring.base import Score, normalise, right, shown, unscored, wrong


def exact(text: str, target: str) -> Score:
    if not target:
        return unscored("the target is empty")
    if text == target:
        return right(text, f"{shown(text)} is the target")
    if text.strip() == target.strip():
        return wrong(text, f"{shown(text)} differs from the target in outer white space")
    return wrong(text, f"{shown(text)} is not {shown(target)}")


def exact_match(text: str, target: str) -> Score:
    allowed = {normalise(line): line.strip() for line in target.splitlines() if normalise(line)}
    if not allowed:
        return unscored("the target is empty")
    answer = text.strip()
    if not normalise(answer):
        return wrong(answer, "the answer is empty")
    if normalise(answer) in allowed:
        return right(
            answer, f"{shown(answer)} equals the target {shown(allowed[normalise(answer)])}"
        )
    wanted = " or ".join(shown(line) for line in allowed.values())
    return wrong(answer, f"{shown(answer)} is not {wanted}")
