"""Which samples of a turn somebody asked to see. Pure.

Raises UsageError for a suite or slice that the turn does not have, with the nearest there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.errors import UsageError, did_you_mean
from tasks.model.answer import JudgedSample, Outcome
from tasks.model.turn import Turn
from tasks.report.flips import in_order

_MAX_ALLOWED = 12


@dataclass(frozen=True, slots=True)
class Selection:
    """`suite` empty: all. `outcomes` and `is_changed` are alternatives, none of them: all;
    changed: another score or another text. `slices`: each as KEY=VALUE, all of them hold."""

    suite: str = ""
    outcomes: tuple[Outcome, ...] = ()
    is_changed: bool = False
    slices: tuple[str, ...] = ()


def select(turn: Turn, asked: Selection) -> list[JudgedSample]:
    """Of a turn of one challenger, losses first."""
    suites = sorted({item.sample.suite for item in turn.judged})
    if asked.suite and asked.suite not in suites:
        raise UsageError(
            f"the run has no suite {asked.suite!r}{did_you_mean(asked.suite, suites)}",
            received=asked.suite,
            allowed=_listed(suites),
        )
    judged = [item for item in turn.judged if asked.suite in ("", item.sample.suite)]
    wanted = [_slice(text, judged) for text in asked.slices]
    return [
        item
        for item in in_order(judged)
        if all(item.sample.slices.get(key) == value for key, value in wanted)
        and _is_asked_for(item, asked)
    ]


def _is_asked_for(item: JudgedSample, asked: Selection) -> bool:
    if not asked.outcomes and not asked.is_changed:
        return True
    is_changed = item.is_flip or item.is_reworded
    return item.outcome in asked.outcomes or (asked.is_changed and is_changed)


def _slice(text: str, judged: Iterable[JudgedSample]) -> tuple[str, str]:
    """Key and value of a slice that some sample is in."""
    key, sign, value = text.partition("=")
    known: dict[str, set[str]] = {}
    for item in judged:
        for name, found in item.sample.slices.items():
            known.setdefault(name, set()).add(found)
    if not sign or key not in known:
        raise UsageError(
            f"no sample has a slice {key!r}{did_you_mean(key, known)}",
            received=f"--slice {text}",
            allowed=f"KEY=VALUE, KEY one of {_listed(known)}" if known else "none: no slices",
        )
    if value not in known[key]:
        raise UsageError(
            f"no sample is in slice {text!r}{did_you_mean(value, known[key])}",
            received=f"--slice {text}",
            allowed=_listed(known[key]),
        )
    return key, value


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = len(names) - _MAX_ALLOWED
    return ", ".join(names[:_MAX_ALLOWED]) + (f" and {more} more" if more > 0 else "")
