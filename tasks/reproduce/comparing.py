"""What was made anew beside what was recorded: texts, scores, verdict. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tasks.model.answer import CompletionKey
from tasks.model.likelihoods import Likelihood, from_text
from tasks.receipts.differences import first_difference

#: text and error of a completion
Said = tuple[str | None, str | None]
#: value, and why there is none
Scored = tuple[float | None, str | None]
#: columns of a verdict as the store keeps them
VerdictRow = Mapping[str, str]
#: of a suite's JSON, what is estimated
_ESTIMATES = ("champion", "challenger", "difference", "ci_low", "ci_high")


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
class Measured(Counted):
    """The same of numbers, with the `largest` difference of two."""

    largest: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`texts`: of the answers that were written. `likelihoods`: of those that were weighed, one a
    choice, in nats. `estimates`: means, differences and ends of intervals of every suite, as
    shares. `verdicts`: role → what it came to then and now; `difference`: the first of the
    verdicts' bytes, as a path."""

    texts: Counted
    likelihoods: Measured
    scores: Measured
    estimates: Measured
    verdicts: Mapping[str, tuple[str, str]]
    difference: str
    #: releases and judges whose answers were taken as they were recorded
    as_recorded: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """To the bit, as far as anything was recorded."""
        differing = (self.texts, self.likelihoods, self.scores, self.estimates)
        return not (any(found.differ for found in differing) or self.difference)

    def to_json(self) -> dict[str, Any]:
        return {
            "texts": {**asdict(self.texts), "share": self.texts.share},
            "likelihoods": {**asdict(self.likelihoods), "share": self.likelihoods.share},
            "scores": {**asdict(self.scores), "share": self.scores.share},
            "estimates": {**asdict(self.estimates), "share": self.estimates.share},
            "verdicts": {
                role: {"then": then, "now": now} for role, (then, now) in self.verdicts.items()
            },
            "difference": self.difference,
            "as_recorded": list(self.as_recorded),
            "equal": self.is_equal,
        }


def compare_texts(then: Mapping[CompletionKey, Said], now: Mapping[CompletionKey, Said]) -> Counted:
    """Of the completions that were written."""
    both = [key for key in sorted(now.keys() & then.keys()) if not _weighed(then[key], now[key])]
    differing = [key for key in both if then[key] != now[key]]
    first = _named(differing[0]) if differing else ""
    return Counted(len(both), len(differing), len(now.keys() - then.keys()), first)


def compare_likelihoods(
    then: Mapping[CompletionKey, Said], now: Mapping[CompletionKey, Said]
) -> Measured:
    """Of the completions that were weighed: one a choice or text."""
    return _measured(
        (f"{_named(key)}, choice {place}", was.logprob, is_now.logprob)
        for key in sorted(now.keys() & then.keys())
        for place, (was, is_now) in enumerate(_weighed(then[key], now[key]), 1)
    )


def _weighed(then: Said, now: Said) -> list[tuple[Likelihood, Likelihood]]:
    """The same texts in both; nothing of what was written."""
    try:
        both = [from_text(said[0] or "") for said in (then, now)]
    except ValueError:
        return []
    was, is_now = ([(one.text, one.num_tokens) for one in weighed] for weighed in both)
    return list(zip(*both, strict=True)) if was == is_now else []


def compare_scores(
    then: Mapping[tuple[CompletionKey, str], Scored],
    now: Mapping[tuple[CompletionKey, str], Scored],
) -> Measured:
    """By completion and version of the scorer."""
    both = sorted(now.keys() & then.keys())
    return _measured(
        ((f"{_named(key[0])} by {key[1]}", then[key], now[key]) for key in both),
        len(now) - len(both),
    )


def compare_estimates(then: Mapping[str, VerdictRow], now: Mapping[str, VerdictRow]) -> Measured:
    """Of every suite that both verdicts have."""
    was, is_now = dict(_estimates(then)), dict(_estimates(now))
    return _measured((name, was[name], is_now[name]) for name in was if name in is_now)


def _estimates(rows: Mapping[str, VerdictRow]) -> Iterator[tuple[str, float | None]]:
    for role, row in rows.items():
        for suite in json.loads(row.get("suites") or "[]"):
            for key in _ESTIMATES:
                yield f"{role}: {key} of suite {suite.get('suite')}", suite.get(key)


def _measured(pairs: Iterable[tuple[str, Any, Any]], not_recorded: int = 0) -> Measured:
    """Of (name, then, now), which are numbers, None, or `Scored`."""
    num, largest, differing = 0, 0.0, list[str]()
    for name, then, now in pairs:
        num += 1
        if then == now:
            continue
        differing.append(name)
        was, is_now = _number(then), _number(now)
        if was is not None and is_now is not None:
            largest = max(largest, abs(was - is_now))
    first = differing[0] if differing else ""
    return Measured(num, len(differing), not_recorded, first, largest)


def _number(value: float | Scored | None) -> float | None:
    return value[0] if isinstance(value, tuple) else value


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
