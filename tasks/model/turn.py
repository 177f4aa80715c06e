"""What is known of one finished turn: what record hands to the report and to MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tasks.model.answer import JudgedSample, Role
from tasks.model.health import SetHealth
from tasks.model.profile import AnswerProfile, of_pair
from tasks.model.receipt import Receipt
from tasks.model.release import Release
from tasks.model.verdict import Rank, RecordedVerdict


@dataclass(frozen=True, slots=True)
class EvalSet:
    """An eval set as it stands in the store; `run_id` made it, `rule` says how."""

    digest: str
    run_id: str
    parent_digest: str | None
    num_samples: int
    created_at: datetime | None
    rule: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log file the eval set or this run drew from."""

    path: str
    digest: str
    format: str
    rows_out: int
    read_in_this_run: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the flywheel with all that leads to its verdict.

    `verdicts`: of every challenger, the leading one first, which is what the turn came to.
    `erased`: what is said of its inputs where samples of them were erased since; else empty.
    """

    run_id: str
    started_at: datetime
    request: Mapping[str, Any]
    releases: Mapping[Role, Release]
    eval_set: EvalSet
    verdicts: Mapping[Role, RecordedVerdict]
    ranking: tuple[Rank, ...]
    judged: tuple[JudgedSample, ...]
    receipts: tuple[Receipt, ...]
    quarantined_by_reason: Mapping[str, int]
    log_files: tuple[LogFile, ...]
    versions: Mapping[str, str]
    health: SetHealth
    profiles: tuple[AnswerProfile, ...] = ()
    erased: str = ""

    @property
    def leading(self) -> Role:
        """The challenger that the turn came to."""
        return next(iter(self.verdicts))

    @property
    def verdict(self) -> RecordedVerdict:
        return self.verdicts[self.leading]

    @property
    def is_of_others(self) -> bool:
        """Whether others ran the releases, and only their results were judged."""
        return bool(self.request.get("command"))

    def pair(self, role: Role) -> Turn:
        """The same turn with one challenger alone."""
        return replace(
            self,
            releases={"champion": self.releases["champion"], "challenger": self.releases[role]},
            verdicts={"challenger": self.verdicts[role]},
            judged=tuple(item.pair(role) for item in self.judged),
            profiles=of_pair(self.profiles, role),
        )

    @property
    def flips(self) -> tuple[JudgedSample, ...]:
        return tuple(item for item in self.pair(self.leading).judged if item.is_flip)

    @property
    def reading(self) -> Mapping[str, Any] | None:
        """How the history of calls was read for its eval set (`Reading.to_json`); None: whole."""
        noted = next((r.notes for r in self.receipts if r.stage == "curate"), self.eval_set.rule)
        return noted.get("reading")

    @property
    def drift_alarms(self) -> tuple[Mapping[str, Any], ...]:
        """Columns where the new calls differ from those before: column, psi, adjusted_p."""
        notes = (receipt.notes.get("drift", {}) for receipt in self.receipts)
        return tuple(alarm for drift in notes for alarm in drift.get("alarms", ()))
