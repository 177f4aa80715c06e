"""exact_match: the whole answer equals the target after normalisation.

Several right answers are separated in the target by a line break.
"""

from __future__ import annotations

from tasks.scoring.base import Score, normalise, right, shown, unscored, wrong


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
