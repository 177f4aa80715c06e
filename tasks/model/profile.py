"""What the answers of a release to one suite are like and use, besides being right: made by
tasks/scoring/profile.py, kept in the receipt of the gate, told by every page and terminal alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tasks.model.answer import Role
from tasks.model.receipt import Receipt

#: of a release's answers, from which share on a kind of degenerate ones is told, and from how many
TOLD_SHARE = 0.05
TOLD_NUMBER = 3


@dataclass(frozen=True, slots=True)
class AnswerProfile:
    """Answers with a text, repeats counted one by one. `num_empty`: nothing but white space.
    `num_cut`: ended by max_tokens and not right. `num_repeating`: end in one phrase over and over.
    `input_tokens`, `output_tokens` and `cost` are means of one answer, None where not known; of the
    price in `currency`. `latency_p50_s`, `latency_p95_s`: of an API, from request to the whole."""

    suite: str
    role: Role
    num_answers: int
    num_empty: int
    num_cut: int
    num_repeating: int
    input_tokens: float | None
    output_tokens: float | None
    cost: float | None
    currency: str
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None

    def share(self, number: int) -> float | None:
        return number / self.num_answers if self.num_answers else None

    def is_told(self, number: int) -> bool:
        """Whether so many degenerate answers are worth a sentence."""
        return number >= TOLD_NUMBER and number > TOLD_SHARE * self.num_answers

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Usage:
    """What so many requests cost and took, the same measures of a release's answers in a run and of
    the calls in the logs: `cost_per_1000` in money of `currency` for 1,000 requests, latencies in
    seconds from request to the whole answer. None where it is not known of any."""

    num_requests: int
    cost_per_1000: float | None
    currency: str
    latency_p50_s: float | None
    latency_p95_s: float | None

    @property
    def is_known(self) -> bool:
        return self.cost_per_1000 is not None or self.latency_p50_s is not None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def profiles_in(receipts: Iterable[Receipt]) -> tuple[AnswerProfile, ...]:
    """What the gate found; nothing of a run that an earlier build decided."""
    notes = (receipt.notes for receipt in receipts if receipt.stage == "gate")
    return tuple(AnswerProfile(**value) for note in notes for value in note.get("answers", ()))


def of_pair(profiles: Iterable[AnswerProfile], role: Role) -> tuple[AnswerProfile, ...]:
    """Those of the champion and of one challenger, by their roles in that pair."""
    names: Mapping[Role, Role] = {"champion": "champion", role: "challenger"}
    return tuple(replace(one, role=names[one.role]) for one in profiles if one.role in names)
