"""What was made anew beside what was recorded: texts, scores, verdict. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.model.answer import CompletionKey
from tasks.receipts.differences import first_difference

#: text and error of a completion
Said = tuple[str | None, str | None]
#: value, and why there is none
Scored = tuple[float | None, str | None]
#: columns of a verdict as the store keeps them
VerdictRow = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """Of `compared` pairs, how many `differ`; `not_recorded`: there is nothing to compare with.
    `first`: the first that differs."""

    compared: int
    differ: int
    not_recorded: int = 0
    first: str = ""

    @property
    def share(self) -> float:
        return self.differ / self.compared if self.compared else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`largest`: of differences of scores. `verdicts`: role → what it came to then and now;
    `difference`: the first of the verdicts' bytes, as a path."""

    texts: Counted
    scores: Counted
    largest: float
    verdicts: Mapping[str, tuple[str, str]]
    difference: str
    #: releases and judges whose answers were taken as they were recorded
    as_recorded: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """To the bit, as far as anything was recorded."""
        return not (self.texts.differ or self.scores.differ or self.difference)

    def to_json(self) -> dict[str, Any]:
        return {
            "texts": {**asdict(self.texts), "share": self.texts.share},
            "scores": {**asdict(self.scores), "largest": self.largest},
            "verdicts": {
                role: {"then": then, "now": now} for role, (then, now) in self.verdicts.items()
            },
            "difference": self.difference,
            "as_recorded": list(self.as_recorded),
            "equal": self.is_equal,
        }


def compare_texts(then: Mapping[CompletionKey, Said], now: Mapping[CompletionKey, Said]) -> Counted:
    both = sorted(now.keys() & then.keys())
    differing = [key for key in both if then[key] != now[key]]
    first = _named(differing[0]) if differing else ""
    return Counted(len(both), len(differing), len(now) - len(both), first)


@dataclass(slots=True)
class _Largest:
    value: float = 0.0
    differing: list[str] = field(default_factory=list)


def compare_scores(
    then: Mapping[tuple[CompletionKey, str], Scored],
    now: Mapping[tuple[CompletionKey, str], Scored],
) -> tuple[Counted, float]:
    """By completion and version of the scorer; and the largest difference of two values."""
    both = sorted(now.keys() & then.keys())
    found = _Largest()
    for key in both:
        if then[key] == now[key]:
            continue
        found.differing.append(f"{_named(key[0])} by {key[1]}")
        was, is_now = then[key][0], now[key][0]
        if was is not None and is_now is not None:
            found.value = max(found.value, abs(was - is_now))
    first = found.differing[0] if found.differing else ""
    counted = Counted(len(both), len(found.differing), len(now) - len(both), first)
    return counted, found.value


def compare_verdicts(
    then: Mapping[str, VerdictRow], now: Mapping[str, VerdictRow]
) -> tuple[dict[str, tuple[str, str]], str]:
    """Role → both verdicts; and where the rows' bytes first differ, "" where they do not."""
    both = {
        role: (row["verdict"], now[role]["verdict"] if role in now else "none")
        for role, row in then.items()
    }
    for role, row in then.items():
        made = now.get(role, {})
        for column, text in row.items():
            if made.get(column) == text:
                continue
            found = first_difference(_value(text), _value(made.get(column)), f"{role}.{column}")
            return both, f"{role}.{column}: its bytes alone" if found is None else str(found)
    return both, ""


def _value(text: str | None) -> Any:
    """Of a column, which may be a plain word."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return text


def _named(key: CompletionKey) -> str:
    return f"sample {key.sample_id[:16]} of release {key.release_digest[:16]}, seed {key.seed}"
