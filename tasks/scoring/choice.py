"""choice: a label out of a closed list.

The target is the right label, or `label | label | …` with the right one first, which lets the
scorer tell an answer that names two labels from one that names the right label once. The answer is
read from the text like this: the whole text is a label; else exactly one label occurs in its first
line as a whole word. An answer with no label, or with several, is wrong.
"""

from __future__ import annotations

import re

from tasks.scoring.base import Score, normalise, right, shown, unscored, wrong


def choice(text: str, target: str) -> Score:
    labels = [normalise(label) for label in target.split("|")]
    if not labels[0]:
        return unscored("the target names no label")
    wanted = labels[0]
    answer = normalise(text)
    if answer in labels:
        return _judge(answer, wanted)
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    found = [label for label in dict.fromkeys(labels) if label and _has(first_line, label)]
    if not found:
        return wrong(text.strip(), f"{shown(text)} names none of: {', '.join(labels)}")
    if len(found) > 1:
        return wrong(text.strip(), f"{shown(text)} names several labels: {', '.join(found)}")
    return _judge(found[0], wanted)


def _has(line: str, label: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(label)}(?![\w-])", normalise(line)) is not None


def _judge(answer: str, wanted: str) -> Score:
    if answer == wanted:
        return right(answer, f"the label is {shown(wanted)}")
    return wrong(answer, f"the label is {shown(answer)}, not {shown(wanted)}")
