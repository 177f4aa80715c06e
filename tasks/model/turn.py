"""What is known of one finished turn, as values: what record hands to the report and to MLflow.

Owns the shape only. It is filled by tasks/store/evals/history.py and read by tasks/report and
tasks/tracking; it knows no SQL, no HTML and no MLflow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tasks.model.receipt import Receipt

Role = Literal["champion", "challenger"]
ROLES: tuple[Role, Role] = ("champion", "challenger")


@dataclass(frozen=True, slots=True)
class Release:
    """A release as it was resolved; `prompts` is task → messages."""

    role: Role
    name: str
    digest: str
    model: str
    model_digest: str
    prompt_digest: str
    prompts: Mapping[str, Any]
    sampling: Mapping[str, Any]
    engine: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EvalSet:
    digest: str
    parent_digest: str | None
    num_samples: int
    created_at: datetime | None
    rule: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one release said to one sample; `value` is the mean over repeats, None: unscored.

    `text` is None where there is no completion: `error` then says why.
    """

    text: str | None
    error: str | None
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    num_repeats: int
    scorer: str | None
    value: float | None
    unscored_reason: str | None
    extracted: str | None
    explanation: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """One sample of the eval set with the answers of both releases (None: no completion)."""

    sample_id: str
    suite: str
    task: str | None
    messages: tuple[Mapping[str, Any], ...]
    system: str | None
    target: str
    target_kind: str
    origin: str
    slices: Mapping[str, str]
    must_pass: bool
    cluster_id: str
    request_id: str | None
    champion: Answer | None
    challenger: Answer | None

    def answer(self, role: Role) -> Answer | None:
        return self.champion if role == "champion" else self.challenger

    @property
    def difference(self) -> float | None:
        """Challenger minus champion; None unless both are scored."""
        if self.champion is None or self.challenger is None:
            return None
        if self.champion.value is None or self.challenger.value is None:
            return None
        return self.challenger.value - self.champion.value

    @property
    def is_flip(self) -> bool:
        """Whether the judgement changed: another score, or scored by one release only."""
        difference = self.difference
        if difference is not None:
            return abs(difference) > 1e-9
        return (_value(self.champion) is None) != (_value(self.challenger) is None)


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """One suite of the verdict. Numbers that could not be computed are None."""

    suite: str
    metric: str
    role: str
    verdict: str
    owner: str
    method: str
    num_samples: int
    champion: float | None
    challenger: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    margin: float | None
    champion_ci: tuple[float | None, float | None]
    challenger_ci: tuple[float | None, float | None]
    min_detectable_effect: float | None
    p_value: float | None
    correlation: float | None
    num_won: int | None
    num_lost: int | None
    num_clusters: int | None
    num_scored_champion: int | None
    num_scored_challenger: int | None
    num_missing_champion: int | None
    num_missing_challenger: int | None
    num_unscored: int | None
    num_known_failures: int
    champion_on_failures: float | None
    challenger_on_failures: float | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SuiteResult:
        known = value.get("known_failures") or {}
        found: dict[str, Any] = {key: str(value.get(key) or "") for key in _TEXTS}
        found |= {key: _number(value.get(key)) for key in _NUMBERS}
        found |= {key: _count(value.get(key)) for key in _COUNTS}
        return cls(
            **found,
            num_samples=_count(value.get("num_samples")) or 0,
            num_known_failures=_count(known.get("num_samples")) or 0,
            champion_on_failures=_number(known.get("champion")),
            challenger_on_failures=_number(known.get("challenger")),
            champion_ci=_interval(value.get("champion_ci")),
            challenger_ci=_interval(value.get("challenger_ci")),
        )

    def score(self, role: Role) -> float | None:
        return self.champion if role == "champion" else self.challenger

    def interval(self, role: Role) -> tuple[float | None, float | None]:
        return self.champion_ci if role == "champion" else self.challenger_ci

    def num_scored(self, role: Role) -> int | None:
        return self.num_scored_champion if role == "champion" else self.num_scored_challenger

    def num_missing(self, role: Role) -> int | None:
        return self.num_missing_champion if role == "champion" else self.num_missing_challenger


_TEXTS = ("suite", "metric", "role", "verdict", "owner", "method")
_NUMBERS = (
    "champion", "challenger", "difference", "ci_low", "ci_high", "margin",
    "min_detectable_effect", "p_value", "correlation",
)  # fmt: skip
_COUNTS = (
    "num_won", "num_lost", "num_clusters", "num_scored_champion", "num_scored_challenger",
    "num_missing_champion", "num_missing_challenger", "num_unscored",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The paired difference within one value of one slice of one suite."""

    suite: str
    name: str
    value: str
    num_samples: int
    champion: float | None
    challenger: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    margin: float | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SliceResult:
        return cls(
            suite=str(value.get("suite") or ""),
            name=str(value.get("slice") or value.get("name") or ""),
            value=str(value.get("value", "")),
            num_samples=_count(value.get("num_samples")) or 0,
            champion=_number(value.get("champion")),
            challenger=_number(value.get("challenger")),
            difference=_number(value.get("difference")),
            ci_low=_number(value.get("ci_low")),
            ci_high=_number(value.get("ci_high")),
            margin=_number(value.get("margin")),
        )


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
    """One turn of the flywheel with all that leads to its verdict."""

    run_id: str
    started_at: datetime
    request: Mapping[str, Any]
    champion: Release
    challenger: Release
    eval_set: EvalSet
    verdict: str
    reasons: tuple[str, ...]
    decided_at: datetime
    suites: tuple[SuiteResult, ...]
    slices: tuple[SliceResult, ...]
    pairs: tuple[Pair, ...]
    receipts: tuple[Receipt, ...]
    quarantined_by_reason: Mapping[str, int]
    log_files: tuple[LogFile, ...]
    versions: Mapping[str, str]
    verdict_json: Mapping[str, Any]

    def release(self, role: Role) -> Release:
        return self.champion if role == "champion" else self.challenger

    @property
    def flips(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair.is_flip)

    @property
    def drift_alarms(self) -> tuple[Mapping[str, Any], ...]:
        """Columns where the new calls differ from those before: column, psi, adjusted_p."""
        notes = (receipt.notes.get("drift", {}) for receipt in self.receipts)
        return tuple(alarm for drift in notes for alarm in drift.get("alarms", ()))

    @property
    def same_release(self) -> bool:
        return self.champion.digest == self.challenger.digest


def _value(answer: Answer | None) -> float | None:
    return None if answer is None else answer.value


def _number(value: object) -> float | None:
    """A finite number or None; JSON written by others may hold NaN or text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _interval(value: object) -> tuple[float | None, float | None]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return _number(value[0]), _number(value[1])
    return None, None
