"""Runs that were, each in a line: what `flywheel status` and the index of reports show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tasks.model.profile import Usage
from tasks.model.verdict import SuiteResult, Verdict

UsedBy = Literal["champion", "challenger", "logs"]


@dataclass(frozen=True, slots=True)
class Intake:
    """What a run took in of the logs. `reasons`: expectation → calls that it held back.
    `drifted`: columns of the new calls with an alarm."""

    num_read: int
    num_new: int
    num_dead: int
    num_quarantined: int
    reasons: Mapping[str, int]
    drifted: tuple[str, ...]

    @property
    def dead_share(self) -> float | None:
        return self.num_dead / self.num_read if self.num_read else None

    @property
    def held_share(self) -> float | None:
        """Of the calls that were checked."""
        checked = self.num_new + self.num_quarantined
        return self.num_quarantined / checked if checked else None


@dataclass(frozen=True, slots=True)
class PastRun:
    """`challenger`: the one it came to, of `num_challengers`. `suites`: what was found of it, none
    before a verdict, and of old runs only where they were asked for; `first`: name and difference
    of the first of them. `spent`: currency → money for APIs. `usage`: what requests cost and took:
    of `champion`, of `challenger`, and of the calls that came in from the `logs`. `report`: where
    its page was written."""

    run_id: str
    started_at: datetime
    finished_at: datetime | None
    state: str
    error: str | None
    champion: str
    challenger: str
    num_challengers: int
    pair: tuple[str | None, str | None]
    verdict: Verdict | None
    decided_at: datetime | None
    reasons: tuple[str, ...]
    suites: tuple[SuiteResult, ...]
    first: tuple[str, float | None] | None
    eval_set_digest: str | None
    num_samples: int | None
    intake: Intake | None
    spent: Mapping[str, float]
    usage: Mapping[UsedBy, Usage]
    report: str | None

    @property
    def seconds(self) -> float | None:
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class PastSet:
    """An eval set that runs decided on: since when, by how many of them."""

    digest: str
    parent_digest: str | None
    num_samples: int
    created_at: datetime
    num_decisions: int


@dataclass(frozen=True, slots=True)
class History:
    """`runs`: the newest of `num_runs`, the oldest of them first. `sets`: the newest first.
    `num_judged`: suite → how many of the runs judged it."""

    runs: tuple[PastRun, ...]
    num_runs: int
    sets: tuple[PastSet, ...]
    num_judged: Mapping[str, int] = field(default_factory=dict)

    @property
    def decided(self) -> tuple[PastRun, ...]:
        return tuple(run for run in self.runs if run.verdict is not None)

    @property
    def last(self) -> PastRun | None:
        """The newest run with a verdict."""
        return next((run for run in reversed(self.runs) if run.verdict is not None), None)

    @property
    def suites(self) -> tuple[str, ...]:
        """Those of the newest decisions first."""
        names = (suite.rule.name for run in reversed(self.decided) for suite in run.suites)
        return tuple(dict.fromkeys(names))

    def looks(self, suite: str) -> tuple[tuple[PastRun, SuiteResult], ...]:
        """What every run found of a suite, as far as it was read, the oldest first."""
        return tuple(
            (run, result)
            for run in self.decided
            for result in run.suites
            if result.rule.name == suite
        )


def same_pair_at_end(looks: Sequence[tuple[PastRun, SuiteResult]]) -> int:
    """How many of the last looks are at the pair of releases that the last one is at."""
    count = 0
    for run, _ in reversed(looks):
        if run.pair != looks[-1][0].pair:
            break
        count += 1
    return count
