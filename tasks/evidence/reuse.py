"""How often the items of a suite have decided, and when that is too often. Pure.

A decision is the verdict on one challenger against one champion, by one look (seed, repeats), on an
eval set that held at least NEARLY_ALL of the items. The same look again tells nothing new and
counts once.

One decision lets a challenger that loses the margin pass with a chance of at most alpha / 2;
challengers of one run share it. Over k decisions the chance that any such challenger passed is at
most the sum, k · alpha / 2 (Bonferroni), if every challenger was made without a look at what the
suite said of those before. Where challengers are tuned on its verdicts or its rows, no sum bounds
it (Blum and Hardt, "The Ladder", 2015): their scores on it drift from those on fresh items, the
more the more decisions there were. So from MANY_DECISIONS on the suite is to be renewed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import fsum

from tasks.model.reuse import Decided

NEARLY_ALL = 0.9
MANY_DECISIONS = 20


@dataclass(frozen=True, slots=True)
class Reuse:
    """Of the items of one suite. `spent`: the sum of alpha / 2 over its decisions, at most 1."""

    num_decisions: int
    num_challengers: int
    num_champions: int
    spent: float
    last_used: datetime | None

    @property
    def is_worn(self) -> bool:
        return self.num_decisions >= MANY_DECISIONS


def reuse_of(
    suite: str, decided: Iterable[Decided], shares: Mapping[str, float], alpha: float
) -> Reuse:
    """shares: eval set → share of the suite's items that are in it."""
    looks: dict[tuple[str, str, str], Decided] = {}
    last: datetime | None = None
    for one in decided:
        if suite in one.suites and shares.get(one.eval_set_digest, 0.0) >= NEARLY_ALL:
            looks.setdefault((one.champion_digest, one.challenger_digest, one.look), one)
            last = one.at if last is None else max(last, one.at)
    return Reuse(
        num_decisions=len(looks),
        num_challengers=len({one.challenger_digest for one in looks.values()}),
        num_champions=len({one.champion_digest for one in looks.values()}),
        spent=min(1.0, fsum(alpha / 2 / one.num_challengers for one in looks.values())),
        last_used=last,
    )


def worn_sentence(suite: str, reuse: Reuse, alpha: float) -> str:
    return (
        f"suite {suite} has decided {reuse.num_decisions:,} times on the same items "
        f"({reuse.num_challengers:,} challengers): even of challengers that were not tuned on it, "
        f"one that loses the margin has passed with a chance of up to {reuse.spent:.0%} "
        f"(decisions × alpha / 2, alpha {alpha:g}); renew a part of its items"
    )
