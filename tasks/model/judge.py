"""The card of a judge: what was measured of it, and why it may or may not decide. Its JSON stands
in the verdict of every suite that it judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tasks.model.answer import Role
from tasks.model.comparison import Interval


@dataclass(frozen=True, slots=True)
class Rate:
    """`share` of `total`, with its 95% interval; None of nothing."""

    share: float | None
    total: int
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """How a judge agrees with people, or with its former version: kappa with quadratic weights."""

    num_items: int
    kappa: float | None
    kappa_interval: Interval | None
    accuracy: float | None
    accuracy_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Predicted:
    """The difference of two releases by judge and labels together (tasks/statistics/ppi.py), beside
    what the judge alone makes of it. `power`: the weight of the judge."""

    num_labelled: int
    difference: float
    interval: Interval
    power: float
    by_judge: float


@dataclass(frozen=True, slots=True)
class JudgeCard:
    """Of a judge on one suite, or by itself on labels.

    Prompts: `num_asked`, of them `num_unread` not as it was told to answer and `num_lost` without
    an answer. `flips`: pairs that the order changes. `first_wins`: of decided prompts, those for
    the answer shown first. `longer_wins`: of decided pairs, those for the longer answer;
    `length_correlation`: of one answer's length and its score, by ranks. `by_people`: the same two
    by the labels. `people`: on those of the `num_labels` of which the judge said something.
    `same_model`: releases of the judge's own model; `self_preference`: by how much more it adds to
    their scores, beside people's, than to those of others. `earlier`: the version that decided
    before, where that was another, and `overlap` with it. `why_not`: why it does not decide; empty:
    it does.
    """

    name: str
    kind: str
    version: str
    models: tuple[str, ...]
    num_asked: int = 0
    num_unread: int = 0
    num_lost: int = 0
    flips: Rate = Rate(None, 0)
    first_wins: Rate = Rate(None, 0)
    longer_wins: Rate = Rate(None, 0)
    length_correlation: float | None = None
    by_people: Mapping[str, float | None] = field(default_factory=dict)
    num_labels: int = 0
    people: Agreed = Agreed(0, None, None, None, None)
    same_model: tuple[Role, ...] = ()
    self_preference: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    currency: str = ""
    predicted: Mapping[Role, Predicted] = field(default_factory=dict)
    earlier: str = ""
    overlap: Agreed | None = None
    declared_role: str = ""
    why_not: tuple[str, ...] = ()

    @property
    def can_gate(self) -> bool:
        return not self.why_not

    @property
    def unread_ratio(self) -> float:
        num_said = self.num_asked - self.num_lost
        return self.num_unread / num_said if num_said else 0.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "parse_failures": self.unread_ratio, "can_gate": self.can_gate}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> JudgeCard:
        """What `to_json` gave."""
        known = {one.name for one in fields(cls)}
        values = {key: part for key, part in value.items() if key in known}
        for key in ("models", "same_model", "why_not"):
            values[key] = tuple(values.get(key, ()))
        for key in ("flips", "first_wins", "longer_wins"):
            values[key] = Rate(**_ends(values.get(key) or {"share": None, "total": 0}))
        for key in ("people", "overlap"):
            if values.get(key) is not None:
                values[key] = Agreed(**_ends(values[key]))
        values["predicted"] = {
            role: Predicted(**_ends(part)) for role, part in values.get("predicted", {}).items()
        }
        return cls(**values)


def _ends(value: Mapping[str, Any]) -> dict[str, Any]:
    """With intervals as values again."""
    return {
        key: Interval(**part) if isinstance(part, Mapping) else part for key, part in value.items()
    }
