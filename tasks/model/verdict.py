"""The verdict of a run: what was declared, what was found, and the JSON both are kept as.

One value for a suite's result: the gate makes it, the store keeps its JSON, and terminal, report
and MLflow read it back. The keys of that JSON are part of the interface of `flywheel run --json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from tasks.model.answer import JudgedSample, Role
from tasks.model.comparison import Comparison, Interval, Look
from tasks.model.guardrail import GuardrailResult
from tasks.model.judge import JudgeCard
from tasks.model.noise import KnownNoise

Verdict = Literal["better", "no_worse", "worse", "cannot_tell", "blocked"]
SuiteRole = Literal["primary", "guard", "report"]
#: verdicts that let a release ship
SHIPS: tuple[Verdict, ...] = ("better", "no_worse")


#: both releases score less than that on a suite of so many samples: they fail more than 85% of it
FLOOR_SCORE = 0.15
FLOOR_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class SuiteRule:
    """What was declared about a suite before the numbers were known; `metric` is its scorer.

    `slices`: slice → margin of those in which no value may lose more than that. `also`: scorers of
    the same answers that inform and decide nothing.
    """

    name: str
    role: SuiteRole
    margin: float
    metric: str
    owner: str = ""
    slices: Mapping[str, float] = field(default_factory=dict)
    also: tuple[str, ...] = ()

    @property
    def is_gating(self) -> bool:
        return self.role != "report"


@dataclass(frozen=True, slots=True)
class GateRule:
    """What was declared about the gate; see [gate] in the settings."""

    alpha: float
    early: float
    max_missing_ratio: float
    unseen_loss: float
    must_pass_reliability: float

    @property
    def look_alpha(self) -> float:
        """What is left of the error rate for the one look by interval."""
        return self.alpha_of_look(1)

    def alpha_of_look(self, number: int) -> float:
        """Of what is judged by an interval of its own at every look at a pair of releases: the
        first has most of the error rate, the k-th early / (k (k - 1)) of it, and all of them
        together have all of it. Where no part is for others, each look is by itself."""
        if number < 1:
            raise ValueError(f"looks are counted from 1, this is {number}")
        if not self.early:
            return self.alpha
        return self.alpha * (1 - self.early if number == 1 else self.early / number / (number - 1))


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers of one release, repeats counted one by one: these four are all of them.

    `num_failed`: the release's own failures, which count 0. `num_missing` have no completion and
    `num_unscored` no value through nobody's or the judge's fault: what they count is not known.
    """

    num_scored: int
    num_failed: int
    num_missing: int
    num_unscored: int

    @property
    def num_answers(self) -> int:
        return self.num_scored + self.num_failed + self.num_unknown

    @property
    def num_unknown(self) -> int:
        return self.num_missing + self.num_unscored

    @property
    def unknown_ratio(self) -> float:
        return self.num_unknown / self.num_answers if self.num_answers else 0.0


@dataclass(frozen=True, slots=True)
class ReleaseScore:
    """One release on one suite, over the samples of which its score is known.

    `mean` is None without any, `interval` below two clusters. `on_shown`: its mean on the samples
    that are shown and not counted.
    """

    mean: float | None
    interval: Interval | None
    tally: Tally
    on_shown: float | None


@dataclass(frozen=True, slots=True)
class Power:
    """What a set of this size and scatter can decide.

    `pass_probability`: that a release without any true difference passes its margin on it.
    `num_samples`: of this kind, with which it would with probability 0.8; None: none is enough.
    """

    pass_probability: float
    num_samples: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What all looks at a pair of releases have come to on one suite, this one with them.

    `interval` holds at every look together; low > high: the looks contradict each other. The one
    look by the gate's own interval is planned at `planned` samples, and was `taken_at` so many
    (None: not yet). p_of_loss and p_of_gain, that there is none: of that look, and of the bets.
    """

    num_samples: int
    difference: float | None
    interval: Interval
    planned: int
    taken_at: int | None
    p_of_loss: tuple[float, float]
    p_of_gain: tuple[float, float]
    looks: tuple[Look, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Standing:
        looks = (Look(**{**look, "interval": Interval(**look["interval"])})
                 for look in value["looks"])  # fmt: skip
        return cls(**{
            **value, "interval": Interval(**value["interval"]), "looks": tuple(looks),
            "p_of_loss": tuple(value["p_of_loss"]), "p_of_gain": tuple(value["p_of_gain"]),
        })  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlsoMeasured:
    """One more scorer on the answers of a suite, with the estimator of its verdict: it informs and
    decides nothing. Numbers as in SuiteResult; num_unknown: answers of which nobody knows what it
    would give, lost by the judge or the harness.
    """

    metric: str
    scorer: str
    num_samples: int
    champion: float | None
    challenger: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    num_unknown_champion: int
    num_unknown_challenger: int
    method: str

    @property
    def interval(self) -> Interval | None:
        return _interval(self.ci_low, self.ci_high)


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """One suite, judged. `comparison` and `power` are None below two pairs or two clusters.

    `comparison.difference` is of the pairs that are known; its interval holds for all: it is the
    hull over whatever the unknown answers were. `num_tipping`: so many of them may be losses before
    a pass is none (None: there is nothing unknown, or it does not pass even if none is).
    `num_shown` samples are not counted. `num_won` and `num_lost` count pairs where all scores are 0
    or 1, else None. `scorer` is the metric in the version that was counted. `standing`: what the
    verdict rests on, where the gate looks more than once; the comparison is of this look alone.
    `noise_floor`: what the champion against itself reaches on so many samples; None: not known.
    `also`: the same answers by other scorers.
    `judge`: what is known of the model that judged it; None: a scorer did.
    """

    rule: SuiteRule
    scorer: str
    verdict: Verdict
    level: float
    num_samples: int
    num_clusters: int
    num_shown: int
    releases: Mapping[Role, ReleaseScore]
    comparison: Comparison | None
    power: Power | None
    num_won: int | None
    num_lost: int | None
    num_tipping: int | None
    too_many_missing: bool
    standing: Standing | None = None
    noise_floor: float | None = None
    also: tuple[AlsoMeasured, ...] = ()
    judge: JudgeCard | None = None

    @property
    def num_evidence(self) -> int:
        """Samples that the verdict rests on."""
        return self.num_samples if self.standing is None else self.standing.num_samples

    @property
    def is_below_noise(self) -> bool:
        """Whether the margin is less than what chance alone reaches."""
        return self.noise_floor is not None and self.rule.margin < self.noise_floor

    @property
    def is_on_floor(self) -> bool:
        """Whether both releases fail nearly everywhere, so that the set-up is probably wrong."""
        means = [release.mean for release in self.releases.values()]
        is_enough = self.num_samples >= FLOOR_SAMPLES
        return is_enough and all(mean is not None and mean < FLOOR_SCORE for mean in means)

    @property
    def difference(self) -> float | None:
        return None if self.comparison is None else self.comparison.difference

    @property
    def interval(self) -> Interval | None:
        return None if self.comparison is None else self.comparison.interval

    @property
    def num_unknown(self) -> int:
        """Answers of which nobody knows what they count, of all releases."""
        return sum(release.tally.num_unknown for release in self.releases.values())

    def to_json(self) -> dict[str, Any]:
        """Flat, with the keys others rely on; None where a number is not defined."""
        comparison, rule, power = self.comparison, self.rule, self.power
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
            "guarded_slices": dict(rule.slices),
            "confidence": 1 - self.level,
            "champion_ci": _ends(champion.interval),
            "challenger_ci": _ends(challenger.interval),
            "num_clusters": self.num_clusters,
            "effective_samples": comparison and comparison.effective_samples,
            **{
                f"num_{kind}_{role}": getattr(release.tally, f"num_{kind}")
                for kind in _TALLIED
                for role, release in self.releases.items()
            },
            "num_tipping": self.num_tipping,
            "too_many_missing": self.too_many_missing,
            "not_counted": {
                "num_samples": self.num_shown,
                "champion": champion.on_shown,
                "challenger": challenger.on_shown,
            },
            "num_won": self.num_won,
            "num_lost": self.num_lost,
            "pass_probability": power and power.pass_probability,
            "num_samples_for_80": power and power.num_samples,
            "method": "" if comparison is None else comparison.method,
            "evidence": self.standing and self.standing.to_json(),
            "noise_floor": self.noise_floor,
            "is_on_floor": self.is_on_floor,
            "also": [asdict(one) for one in self.also],
            "judge": self.judge and self.judge.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SuiteResult:
        """What `to_json` gave, or that of an earlier build. What is not a finite number there is
        None or 0 here."""
        shown = value.get("not_counted") or value.get("known_failures") or {}

        def release(role: Role) -> ReleaseScore:
            counts = (_count(value.get(f"num_{kind}_{role}")) for kind in _TALLIED)
            return ReleaseScore(
                mean=_number(value.get(role)),
                interval=_interval(*(value.get(f"{role}_ci") or (None,))),
                tally=Tally(*counts),
                on_shown=_number(shown.get(role)),
            )

        metric = str(value.get("metric") or "")
        difference = _number(value.get("difference"))
        interval = _interval(value.get("ci_low"), value.get("ci_high"))
        level, passing = _number(value.get("confidence")), _number(value.get("pass_probability"))
        num_samples = _count(value.get("num_samples"))
        also = tuple(AlsoMeasured(**one) for one in value.get("also") or ())
        return cls(
            rule=SuiteRule(
                name=str(value.get("suite") or ""),
                role=cast(SuiteRole, str(value.get("role") or "")),
                margin=_number(value.get("margin")) or 0.0,
                metric=metric,
                owner=str(value.get("owner") or ""),
                slices=value.get("guarded_slices") or {},
                also=tuple(one.metric for one in also),
            ),
            scorer=str(value.get("scorer") or metric),
            verdict=cast(Verdict, str(value.get("verdict") or "")),
            level=0.05 if level is None else 1 - level,
            num_samples=num_samples,
            num_clusters=_count(value.get("num_clusters")),
            num_shown=_count(shown.get("num_samples")),
            releases={"champion": release("champion"), "challenger": release("challenger")},
            comparison=None
            if difference is None or interval is None
            else Comparison(
                difference=difference,
                interval=interval,
                effective_samples=_number(value.get("effective_samples")) or num_samples,
                method=str(value.get("method") or ""),
            ),
            power=None
            if passing is None
            else Power(passing, _whole(value.get("num_samples_for_80"))),
            num_won=_whole(value.get("num_won")),
            num_lost=_whole(value.get("num_lost")),
            num_tipping=_whole(value.get("num_tipping")),
            too_many_missing=bool(value.get("too_many_missing")),
            standing=Standing.from_json(value["evidence"]) if value.get("evidence") else None,
            noise_floor=_number(value.get("noise_floor")),
            also=also,
            judge=JudgeCard.from_json(value["judge"]) if value.get("judge") else None,
        )


_ORDER: tuple[SuiteRole, ...] = ("primary", "guard")


def deciding_suite(verdict: Verdict, suites: Sequence[SuiteResult]) -> SuiteResult | None:
    """The one whose numbers are told where there is room for one: a gating suite that came to the
    verdict of the whole, a primary one before a guard, else the first by the same order. None where
    nothing was judged."""
    gating = [suite for role in _ORDER for suite in suites if suite.rule.role == role]
    first = [suite for suite in gating if suite.verdict == verdict] + gating + list(suites)
    return next(iter(first), None)


_TALLIED = ("scored", "failed", "missing", "unscored")

#: guarded: declared, with a margin that no value of the slice may lose; watched: all others
SliceRole = Literal["guarded", "watched", "report"]


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One value of one slice of one suite. No interval below two clusters.

    `is_alarm`: its loss beyond the margin is certain, even among all slices that are looked at. A
    guarded slice must be no worse; of a watched one only an alarm holds the release. `noise_floor`:
    of a guarded one, as of a suite.
    """

    suite: str
    slice: str
    value: str
    num_samples: int
    num_clusters: int
    champion: float | None
    challenger: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    margin: float = 0.0
    role: SliceRole = "watched"
    verdict: Verdict = "cannot_tell"
    is_alarm: bool = False
    noise_floor: float | None = None

    @property
    def interval(self) -> Interval | None:
        return _interval(self.ci_low, self.ci_high)

    @property
    def holds(self) -> bool:
        """Whether the release may not ship for it."""
        return self.is_alarm or (self.role == "guarded" and self.verdict != "no_worse")


@dataclass(frozen=True, slots=True)
class MustPass:
    """Samples that must pass and did not, in the order of suite and id.

    `new`: the champion passes them. `old`: it fails them too. `unknown`: what the challenger
    answered is lost through nobody's fault.
    """

    new: tuple[JudgedSample, ...] = ()
    old: tuple[JudgedSample, ...] = ()
    unknown: tuple[JudgedSample, ...] = ()

    @property
    def failed(self) -> tuple[JudgedSample, ...]:
        return self.new + self.old


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict of a run, with what it rests on. `pooled`: the samples of all gating suites taken
    together, each counting the same; None where fewer than two suites gate. `look`: this is the
    so-many-th set of samples that the pair of releases is looked at on. `noise`: what is known of
    the champion against itself."""

    verdict: Verdict
    suites: tuple[SuiteResult, ...]
    slices: tuple[SliceResult, ...]
    must_pass: MustPass
    is_same_release: bool
    pooled: Comparison | None = None
    guardrails: tuple[GuardrailResult, ...] = ()
    look: int = 1
    noise: KnownNoise | None = None


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a release stands among all of a run, on one suite; `suite` empty: on the samples of all
    gating suites taken together.

    `mean`: weighted, over the samples of which its score is known; None without any. `low` to
    `high`: its rank by true mean, 1 the best, of all releases at once with probability 1 - alpha.
    """

    suite: str
    role: Role
    mean: float | None
    low: int
    high: int
    num_samples: int


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """A decision on one challenger as the store keeps it."""

    verdict: Verdict
    reasons: tuple[str, ...]
    suites: tuple[SuiteResult, ...]
    slices: tuple[SliceResult, ...]
    decided_at: datetime
    guardrails: tuple[GuardrailResult, ...] = ()


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


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _count(value: object) -> int:
    return _whole(value) or 0
