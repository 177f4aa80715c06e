"""includes: the target occurs in the answer, as whole words, after normalisation."""

from __future__ import annotations

import re

from tasks.scoring.base import Score, normalise, right, shown, unscored, wrong


def includes(text: str, target: str) -> Score:
    wanted = normalise(target)
    if not wanted:
        return unscored("the target is empty")
    found = re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", normalise(text))
    if found:
        return right(target.strip(), f"the answer contains {shown(target)}")
    return wrong(text.strip(), f"{shown(text)} does not contain {shown(target)}")
