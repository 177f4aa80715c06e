"""A guardrail: a measure without an upper end, such as tokens or cost, of which the challenger may
use only so many percent more than the champion. What was declared, what was found, and its JSON,
whose keys are part of the interface of `flywheel run --json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tasks.model.answer import Role
from tasks.model.comparison import Interval, Ratio

Measure = Literal["output_tokens", "input_tokens", "cost"]
#: a guardrail is there to hold a release, none ships for it
GuardrailVerdict = Literal["no_worse", "worse", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens."""

    input: float
    output: float
    currency: str

    @property
    def is_known(self) -> bool:
        return self.input > 0 or self.output > 0

    def of(self, input_tokens: float, output_tokens: float) -> float:
        return (self.input * input_tokens + self.output * output_tokens) / 1_000_000


@dataclass(frozen=True, slots=True)
class GuardrailRule:
    """What was declared before the numbers were known. The mean of the challenger may be at most
    1 + `margin` times that of the champion, over the samples of `suites`; none: of those that gate.
    `prices`: of each release, where the measure is cost.
    """

    name: str
    measure: Measure
    margin: float
    suites: tuple[str, ...] = ()
    owner: str = ""
    prices: Mapping[Role, Price] = field(default_factory=dict)

    def pair(self, role: Role) -> GuardrailRule:
        """The same for the champion and one challenger alone, in the roles of those two."""
        of_pair = {"champion": "champion", "challenger": role}
        prices = {name: self.prices[of] for name, of in of_pair.items() if of in self.prices}
        return replace(self, prices=prices)

    @property
    def unit(self) -> str:
        """Of one answer."""
        currencies = {price.currency for price in self.prices.values()}
        return currencies.pop() if self.measure == "cost" and currencies else "tokens"


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """One guardrail, judged. Means are of one answer, over the `num_samples` pairs of which both
    releases' are known; `num_unknown` are not. `comparison` is None where nothing can be said:
    fewer than six clusters, or a champion that uses nothing. `level`: error rate of this look.
    """

    rule: GuardrailRule
    verdict: GuardrailVerdict
    level: float
    num_samples: int
    num_clusters: int
    num_unknown: int
    too_many_unknown: bool
    champion: float | None
    challenger: float | None
    comparison: Ratio | None

    @property
    def ratio(self) -> float | None:
        return None if self.comparison is None else self.comparison.ratio

    @property
    def interval(self) -> Interval | None:
        return None if self.comparison is None else self.comparison.interval

    @property
    def holds(self) -> bool:
        """Whether the release may not ship for it."""
        return self.verdict != "no_worse"

    def to_json(self) -> dict[str, Any]:
        """Flat, with the keys others rely on; None where a number is not defined, as an upper end
        that is infinite."""
        rule, told = self.rule, self.comparison
        return {
            "guardrail": rule.name,
            "measure": rule.measure,
            "unit": rule.unit,
            "margin": rule.margin,
            "suites": list(rule.suites),
            "owner": rule.owner,
            "prices": {role: asdict(price) for role, price in rule.prices.items()},
            "verdict": self.verdict,
            "confidence": 1 - self.level,
            "num_samples": self.num_samples,
            "num_clusters": self.num_clusters,
            "num_unknown": self.num_unknown,
            "too_many_unknown": self.too_many_unknown,
            "champion": self.champion,
            "challenger": self.challenger,
            "ratio": self.ratio,
            "ci_low": told and told.interval.low,
            "ci_high": told.interval.high if told and math.isfinite(told.interval.high) else None,
            "effective_samples": told and told.effective_samples,
            "method": told.method if told else "",
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> GuardrailResult:
        """What `to_json` gave."""
        high = value["ci_high"]
        return cls(
            rule=GuardrailRule(
                name=value["guardrail"],
                measure=value["measure"],
                margin=value["margin"],
                suites=tuple(value["suites"]),
                owner=value["owner"],
                prices={role: Price(**price) for role, price in value["prices"].items()},
            ),
            verdict=value["verdict"],
            level=1 - value["confidence"],
            num_samples=value["num_samples"],
            num_clusters=value["num_clusters"],
            num_unknown=value["num_unknown"],
            too_many_unknown=value["too_many_unknown"],
            champion=value["champion"],
            challenger=value["challenger"],
            comparison=None
            if value["ratio"] is None
            else Ratio(
                ratio=value["ratio"],
                interval=Interval(value["ci_low"], math.inf if high is None else high),
                effective_samples=value["effective_samples"],
                method=value["method"],
            ),
        )
