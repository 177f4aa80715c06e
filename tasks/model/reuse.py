"""What a suite has decided on: a value that the store gives and tasks/suites judges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tasks.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict of a run on one challenger. `suites`: those that gated. `look`: seed, repeats and
    how many of its samples it asked; the same pair of releases looked at so again is no new look.
    `num_challengers`: of the run, which share its error rate."""

    run_id: str
    eval_set_digest: str
    champion_digest: str
    challenger_digest: str
    look: str
    num_challengers: int
    suites: frozenset[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """What a run decided on two releases, by their digests."""

    run_id: str
    verdict: Verdict
    champion_digest: str
    challenger_digest: str
    decided_at: datetime
