"""Which changed answers a person should read first, out of all that changed.

Losses before gains, samples that must pass first of all, then by how much the score moved; suites
take turns, so that one large suite does not crowd out the others. Short inputs win ties: they are
read faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from tasks.model import turn as facts


@dataclass(frozen=True, slots=True)
class Changes:
    """`chosen` of the flips, with the counts they come from."""

    chosen: tuple[facts.Pair, ...]
    num_flips: int
    num_losses: int
    num_gains: int
    num_one_sided: int
    num_reworded: int
    num_pairs: int


def choose(pairs: Sequence[facts.Pair], limit: int) -> Changes:
    """At most `limit` flips: two losses, then one gain, while there are any."""
    flips = [pair for pair in pairs if pair.is_flip]
    losses = [pair for pair in flips if _is_loss(pair)]
    gains = [pair for pair in flips if not _is_loss(pair)]
    num_gains = min(len(gains), max(limit // 3, limit - len(losses)))
    chosen = [
        *_in_turns(losses)[: limit - num_gains],
        *_in_turns(gains)[:num_gains],
    ]
    return Changes(
        chosen=tuple(chosen),
        num_flips=len(flips),
        num_losses=sum(1 for pair in flips if (pair.difference or 0) < 0),
        num_gains=sum(1 for pair in flips if (pair.difference or 0) > 0),
        num_one_sided=sum(1 for pair in flips if pair.difference is None),
        num_reworded=sum(1 for pair in pairs if not pair.is_flip and _is_reworded(pair)),
        num_pairs=len(pairs),
    )


def _is_loss(pair: facts.Pair) -> bool:
    """Scored lower, or scored by the champion only."""
    if pair.difference is not None:
        return pair.difference < 0
    return pair.champion is not None and pair.champion.value is not None


def _is_reworded(pair: facts.Pair) -> bool:
    if pair.champion is None or pair.challenger is None:
        return False
    return pair.champion.text != pair.challenger.text


def _in_turns(pairs: Sequence[facts.Pair]) -> list[facts.Pair]:
    by_suite: dict[str, list[facts.Pair]] = {}
    for pair in sorted(pairs, key=_importance):
        by_suite.setdefault(pair.suite, []).append(pair)
    turns = zip_longest(*by_suite.values())
    mixed = [pair for pair in chain.from_iterable(turns) if pair is not None]
    return sorted(mixed, key=lambda pair: not pair.must_pass)


def _importance(pair: facts.Pair) -> tuple[bool, float, int, str]:
    moved = 1.0 if pair.difference is None else abs(pair.difference)
    length = sum(len(str(message.get("content", ""))) for message in pair.messages)
    return (not pair.must_pass, -moved, length, pair.sample_id)
