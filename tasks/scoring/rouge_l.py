"""rouge_l: F1 of the longest common subsequence of words (Lin 2004), as rouge-score computes it
without stemming: words are runs of a to z and 0 to 9 in lower case.

The length of the subsequence is found with as many bits at once as the shorter text has words
(Hyyrö 2004), so that two long texts take seconds and no table of their product.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.scoring.base import Score, shown, unscored, wrong

_WORD = re.compile(r"[a-z0-9]+")


def rouge_l(text: str, target: str) -> Score:
    wanted, given = _WORD.findall(target.lower()), _WORD.findall(text.lower())
    if not wanted:
        return unscored(f"the target {shown(target)} has no word of a to z and 0 to 9")
    answer = text.strip()
    if not given:
        return wrong(answer, "the answer has no word of a to z and 0 to 9")
    num_common = common_subsequence(wanted, given)
    if not num_common:
        return wrong(answer, f"{shown(text)} shares no word with the target")
    precision, recall = num_common / len(given), num_common / len(wanted)
    note = f"{num_common} words in the target's order, of {len(given)} and {len(wanted)}"
    return Score(2 * precision * recall / (precision + recall), answer, note)


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest sequence that both have in this order, with gaps."""
    if len(one) > len(other):
        one, other = other, one
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    everywhere = (1 << len(one)) - 1
    row = everywhere
    for word in other:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & everywhere
    return len(one) - row.bit_count()
