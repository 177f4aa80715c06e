"""What a receipt is made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tasks.model.answer import Role
from tasks.model.commitment import Commitment
from tasks.model.receipt import Receipt
from tasks.model.release import Release
from tasks.model.run import RunRequest
from tasks.model.turn import EvalSet, LogFile
from tasks.model.verdict import Rank, RecordedVerdict


@dataclass(frozen=True, slots=True)
class Facts:
    """`verdicts`: the leading challenger's first. `evaluated`: what the stage said that answered,
    in this run or in the one whose scores were decided on. `looks`: of every challenger the number
    of this look at the pair. `commitment` None: the run is of an earlier build."""

    run_id: str
    began_at: datetime
    request: RunRequest
    commitment: Commitment | None
    releases: Mapping[Role, Release]
    eval_set: EvalSet
    logs: tuple[LogFile, ...]
    stages: Mapping[str, Receipt]
    evaluated: Receipt | None
    verdicts: Mapping[Role, RecordedVerdict]
    ranking: tuple[Rank, ...]
    looks: Mapping[Role, int]

    @property
    def leading(self) -> Role:
        return next(iter(self.verdicts))

    @property
    def seeds(self) -> range:
        first = self.request.seed
        repeats = self.request.repeats
        if not repeats and self.commitment is not None:
            repeats = self.commitment.settings["evaluate"]["repeats"]
        return range(first, first + (repeats or 1))

    def name(self, role: Role) -> str:
        """As it was asked for: a release's own name follows its latest use."""
        return self.request.releases[role]
