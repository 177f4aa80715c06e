"""Which changed answers a person should read first, out of all that changed.

Losses before gains, samples that must pass first of all, then by how much the score moved; suites
take turns, so that one large suite does not crowd out the others. Short inputs win ties: they are
read faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from tasks.model.answer import OUTCOMES, JudgedSample, Outcome


@dataclass(frozen=True, slots=True)
class Changes:
    """`chosen` of the flips, with the counts they come from."""

    chosen: tuple[JudgedSample, ...]
    num_flips: int
    num_losses: int
    num_gains: int
    num_one_sided: int
    num_reworded: int
    num_both_failed: int
    num_samples: int


def choose(judged: Sequence[JudgedSample], limit: int) -> Changes:
    """At most `limit` flips: two losses, then one gain, while there are any."""
    flips = [item for item in judged if item.is_flip]
    losses = [item for item in flips if _is_loss(item)]
    gains = [item for item in flips if not _is_loss(item)]
    two_sided = [item for item in flips if not item.is_one_sided]
    num_gains = min(len(gains), max(limit // 3, limit - len(losses)))
    chosen = [
        *_in_turns(losses)[: limit - num_gains],
        *_in_turns(gains)[:num_gains],
    ]
    return Changes(
        chosen=tuple(chosen),
        num_flips=len(flips),
        num_losses=sum(_is_loss(item) for item in two_sided),
        num_gains=sum(not _is_loss(item) for item in two_sided),
        num_one_sided=len(flips) - len(two_sided),
        num_reworded=sum(item.is_reworded for item in judged),
        num_both_failed=sum(item.outcome == "both_failed" for item in judged),
        num_samples=len(judged),
    )


def _is_loss(item: JudgedSample) -> bool:
    """Scored lower, or scored by the champion only."""
    difference = item.difference()
    return item.score("challenger") is None if difference is None else difference < 0


def in_order(judged: Sequence[JudgedSample]) -> list[JudgedSample]:
    """All of them by outcome, losses first, each as `_importance` has it."""
    by_outcome: dict[Outcome, list[JudgedSample]] = {outcome: [] for outcome in OUTCOMES}
    for item in judged:
        by_outcome[item.outcome].append(item)
    return [item for items in by_outcome.values() for item in sorted(items, key=_importance)]


def _in_turns(judged: Sequence[JudgedSample]) -> list[JudgedSample]:
    by_suite: dict[str, list[JudgedSample]] = {}
    for item in sorted(judged, key=_importance):
        by_suite.setdefault(item.sample.suite, []).append(item)
    turns = zip_longest(*by_suite.values())
    mixed = [item for item in chain.from_iterable(turns) if item is not None]
    return sorted(mixed, key=lambda item: not item.sample.must_pass)


def _importance(item: JudgedSample) -> tuple[bool, float, int, str]:
    sample = item.sample
    difference = item.difference()
    moved = 1.0 if difference is None else abs(difference)
    length = sum(len(str(message.get("content", ""))) for message in sample.messages)
    return (not sample.must_pass, -moved, length, sample.sample_id)
