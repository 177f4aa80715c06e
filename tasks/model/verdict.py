"""The verdict of a run: what was declared, what was found, and the JSON both are kept as.

One value for a suite's result: the gate makes it, the store keeps its JSON, and terminal, report
and MLflow read it back. The keys of that JSON are part of the interface of `flywheel run --json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from tasks.model.answer import JudgedSample, Role
from tasks.model.comparison import Comparison, Interval

Verdict = Literal["better", "no_worse", "worse", "cannot_tell"]
SuiteRole = Literal["primary", "guard", "report"]


@dataclass(frozen=True, slots=True)
class SuiteRule:
    """What was declared about a suite before the numbers were known; `metric` is its scorer."""

    name: str
    role: SuiteRole
    margin: float
    metric: str
    owner: str = ""

    @property
    def is_gating(self) -> bool:
        return self.role != "report"


@dataclass(frozen=True, slots=True)
class GateRule:
    """What was declared about the gate."""

    alpha: float
    max_missing_ratio: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Denominators of one release: scored + missing + unscored samples = all of them."""

    num_scored: int
    num_missing: int
    num_unscored: int

    @property
    def lacking_ratio(self) -> float:
        total = self.num_scored + self.num_missing + self.num_unscored
        return (self.num_missing + self.num_unscored) / total if total else 0.0


@dataclass(frozen=True, slots=True)
class ReleaseScore:
    """One release on one suite. `mean` is None without samples, `interval` below two clusters."""

    mean: float | None
    interval: Interval | None
    tally: Tally
    on_known_failures: float | None


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """One suite, judged. `comparison` is None below two pairs or two clusters.

    Known failures do not gate: they are in `num_known_failures` and `on_known_failures` only.
    `num_won` and `num_lost` count pairs where all scores are 0 or 1, else None. `scorer` is the
    metric in the version that was counted.
    """

    rule: SuiteRule
    scorer: str
    verdict: Verdict
    level: float
    num_samples: int
    num_clusters: int
    num_unscored: int
    num_known_failures: int
    releases: Mapping[Role, ReleaseScore]
    comparison: Comparison | None
    num_won: int | None
    num_lost: int | None
    too_many_missing: bool

    @property
    def difference(self) -> float | None:
        return None if self.comparison is None else self.comparison.difference

    @property
    def interval(self) -> Interval | None:
        return None if self.comparison is None else self.comparison.interval

    def to_json(self) -> dict[str, Any]:
        """Flat, with the keys others rely on; None where a number is not defined."""
        comparison, rule = self.comparison, self.rule
        champion, challenger = self.releases["champion"], self.releases["challenger"]
        return {
            "suite": rule.name,
            "metric": rule.metric,
            "scorer": self.scorer,
            "num_samples": self.num_samples,
            "champion": champion.mean,
            "challenger": challenger.mean,
            "difference": self.difference,
            "ci_low": None if self.interval is None else self.interval.low,
            "ci_high": None if self.interval is None else self.interval.high,
            "margin": rule.margin,
            "verdict": self.verdict,
            "role": rule.role,
            "owner": rule.owner,
            "confidence": 1 - self.level,
            "champion_ci": _ends(champion.interval),
            "challenger_ci": _ends(challenger.interval),
            "num_clusters": self.num_clusters,
            "num_scored_champion": champion.tally.num_scored,
            "num_scored_challenger": challenger.tally.num_scored,
            "num_missing_champion": champion.tally.num_missing,
            "num_missing_challenger": challenger.tally.num_missing,
            "num_unscored_champion": champion.tally.num_unscored,
            "num_unscored_challenger": challenger.tally.num_unscored,
            "num_unscored": self.num_unscored,
            "too_many_missing": self.too_many_missing,
            "known_failures": {
                "num_samples": self.num_known_failures,
                "champion": champion.on_known_failures,
                "challenger": challenger.on_known_failures,
            },
            "correlation": None if comparison is None else comparison.correlation,
            "num_won": self.num_won,
            "num_lost": self.num_lost,
            "p_value": None if comparison is None else comparison.p_value,
            "min_detectable_effect": comparison and comparison.min_detectable_effect,
            "method": "" if comparison is None else comparison.method,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SuiteResult:
        """What `to_json` gave. What is not a finite number there is None or 0 here."""
        known = value.get("known_failures") or {}

        def release(role: Role) -> ReleaseScore:
            counts = (_count(value.get(f"num_{kind}_{role}")) for kind in _TALLIED)
            return ReleaseScore(
                mean=_number(value.get(role)),
                interval=_interval(*(value.get(f"{role}_ci") or (None,))),
                tally=Tally(*counts),
                on_known_failures=_number(known.get(role)),
            )

        metric = str(value.get("metric") or "")
        difference = _number(value.get("difference"))
        interval = _interval(value.get("ci_low"), value.get("ci_high"))
        level = _number(value.get("confidence"))
        return cls(
            rule=SuiteRule(
                name=str(value.get("suite") or ""),
                role=cast(SuiteRole, str(value.get("role") or "")),
                margin=_number(value.get("margin")) or 0.0,
                metric=metric,
                owner=str(value.get("owner") or ""),
            ),
            scorer=str(value.get("scorer") or metric),
            verdict=cast(Verdict, str(value.get("verdict") or "")),
            level=0.05 if level is None else 1 - level,
            num_samples=_count(value.get("num_samples")),
            num_clusters=_count(value.get("num_clusters")),
            num_unscored=_count(value.get("num_unscored")),
            num_known_failures=_count(known.get("num_samples")),
            releases={"champion": release("champion"), "challenger": release("challenger")},
            comparison=None
            if difference is None or interval is None
            else Comparison(
                difference=difference,
                interval=interval,
                p_value=_number(value.get("p_value")),
                correlation=_number(value.get("correlation")),
                min_detectable_effect=_number(value.get("min_detectable_effect")),
                method=str(value.get("method") or ""),
            ),
            num_won=None if _number(value.get("num_won")) is None else _count(value["num_won"]),
            num_lost=None if _number(value.get("num_lost")) is None else _count(value["num_lost"]),
            too_many_missing=bool(value.get("too_many_missing")),
        )


_TALLIED = ("scored", "missing", "unscored")


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One value of one slice of one suite. No interval below two clusters."""

    suite: str
    slice: str
    value: str
    num_samples: int
    num_clusters: int
    champion: float
    challenger: float
    difference: float
    ci_low: float | None
    ci_high: float | None

    @property
    def interval(self) -> Interval | None:
        return _interval(self.ci_low, self.ci_high)


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict of a run, with what it rests on."""

    verdict: Verdict
    suites: tuple[SuiteResult, ...]
    failed_must_pass: tuple[JudgedSample, ...]
    is_same_release: bool


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """A decision as the store keeps it."""

    verdict: Verdict
    reasons: tuple[str, ...]
    suites: tuple[SuiteResult, ...]
    slices: tuple[SliceResult, ...]
    decided_at: datetime


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _interval(low: object = None, high: object = None) -> Interval | None:
    ends = _number(low), _number(high)
    return None if None in ends else Interval(*cast(tuple[float, float], ends))


def _number(value: object) -> float | None:
    """A finite number or None; JSON written by others may hold NaN or text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _count(value: object) -> int:
    return int(_number(value) or 0)
