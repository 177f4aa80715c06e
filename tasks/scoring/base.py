"""What a scorer gives back, and the text normalisation scorers share.

A scorer is a function (completion text, target) → Score. Unscored is not zero: where the
*target* cannot be judged against, or the scorer itself breaks, there is a reason and no value. An
answer that cannot be read is the release's fault: value 0 with an explanation.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Score:
    """Value in [0, 1] or None with `unscored_reason`; what was extracted, and why that value."""

    value: float | None
    answer: str | None
    explanation: str
    unscored_reason: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) != (self.unscored_reason is not None):
            raise ValueError("a score has a value or a reason why it has none, never both")
        if self.value is not None and not 0.0 <= self.value <= 1.0:
            raise ValueError(f"a score lies in 0 to 1, not {self.value}")


def right(answer: str, explanation: str) -> Score:
    return Score(1.0, answer, explanation)


def wrong(answer: str | None, explanation: str) -> Score:
    return Score(0.0, answer, explanation)


def unscored(reason: str, answer: str | None = None) -> Score:
    return Score(None, answer, f"unscored: {reason}", reason)


def normalise(text: str) -> str:
    """Compatibility forms folded (NFKC), case folded, white space as single spaces, no outer
    quotes, brackets or final punctuation: what two people would call the same short answer."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip("\"'`“”‘’«»*_()[]{} .,;:!?…").strip()


def shown(text: str) -> str:
    """A text as an explanation quotes it: one line, shortened with a mark."""
    line = " ".join(text.split())
    return repr(line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 1] + "…")
