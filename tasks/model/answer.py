"""Answers: what releases said to a sample, and what each counts.

Owns the rule of whose fault silence is. A release's own failure counts 0 for that release. What
the judge or the harness lost is nobody's: it counts for no release, and whatever it may have been,
from all wrong to all right, must lead to the same verdict. Repeats are averaged per sample before
anything else. Which of the stored scores is an answer's value is tasks/scoring/effective.py's to
say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from tasks.model.failure import Fault
from tasks.model.sample import Sample

#: the part a release plays in a run; there may be more of them than these two
Role = str
ROLES: tuple[Role, ...] = ("champion", "challenger")


def challenger_role(place: int) -> Role:
    """Of the challengers of a run in the order they were named, from 0 on: challenger,
    challenger_2, challenger_3 and so on."""
    return f"challenger_{place + 1}" if place else "challenger"


@dataclass(frozen=True, slots=True, order=True)
class CompletionKey:
    """What a completion is a function of."""

    release_digest: str
    sample_id: str
    seed: int


@dataclass(frozen=True, slots=True)
class AlsoScored:
    """What one more scorer gave to an answer: it informs and counts for nothing."""

    scorer: str
    value: float | None = None
    unscored_reason: str | None = None
    fault: Fault | None = None
    extracted: str | None = None
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion with its score. `value` None: missing (no completion), or unscored.

    `text` is None where there is no completion: `error` then says why, where it is known, and
    `fault` whose failure it was; None: nobody knows.
    """

    value: float | None = None
    is_missing: bool = False
    text: str | None = None
    error: str | None = None
    fault: Fault | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    scorer: str | None = None
    unscored_reason: str | None = None
    extracted: str | None = None
    explanation: str | None = None
    #: from the request to the whole answer of an API; a replay in batches has none
    latency_s: float | None = None
    also: tuple[AlsoScored, ...] = ()

    @property
    def is_failed(self) -> bool:
        """Whether the release itself is to blame that there is no value."""
        return self.value is None and self.fault == "release"

    @property
    def counted(self) -> float | None:
        """What it counts; None: nobody knows."""
        return 0.0 if self.is_failed else self.value

    def by(self, place: int) -> Answer:
        """The same answer by the scorer at this place of `also`. What is not there counts as it
        does for the scorer of the suite."""
        return self if self.is_missing else replace(self, **asdict(self.also[place]))


MISSING = Answer(is_missing=True, fault="harness")
UNSCORED = Answer(fault="judge")


#: what became of a sample between champion and challenger, each sample one of these. unscored: of a
#: release no score is known. both_failed: both score 0. same: the same score, more than 0
Outcome = Literal["lost", "won", "unscored", "both_failed", "same"]
OUTCOMES: tuple[Outcome, ...] = ("lost", "won", "unscored", "both_failed", "same")
#: scores that differ by less are one: means over repeats are not exact
_SAME_SCORE = 1e-9


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A sample with the answers of every release of a run: one a repeat, in the order of seeds."""

    sample: Sample
    answers: Mapping[Role, tuple[Answer, ...]]

    def score(self, role: Role) -> float | None:
        """What the sample counts for a release: the mean over the repeats of which it is known."""
        return self.spread(role)[1]

    def spread(self, role: Role) -> tuple[float, float | None, float]:
        """The least the score may be, whatever the unknown answers were; the score; the most."""
        counted = [answer.counted for answer in self.answers[role]]
        known = [value for value in counted if value is not None]
        num_unknown, total = len(counted) - len(known), sum(known)
        low, high = total / len(counted), (total + num_unknown) / len(counted)
        return low, total / len(known) if known else None, high

    def difference(self, role: Role = "challenger", baseline: Role = "champion") -> float | None:
        """`role` minus `baseline`, of the scores as far as they are known."""
        new, old = self.score(role), self.score(baseline)
        return None if new is None or old is None else new - old

    def pair(self, role: Role, baseline: Role = "champion") -> JudgedSample:
        """Two of the releases alone, `role` as the challenger of `baseline`."""
        both = {"champion": self.answers[baseline], "challenger": self.answers[role]}
        return replace(self, answers=both)

    def by(self, place: int) -> JudgedSample:
        """As the scorer at this place of `also` has it."""
        answers = {
            role: tuple(answer.by(place) for answer in given)
            for role, given in self.answers.items()
        }
        return replace(self, answers=answers)

    @property
    def is_one_sided(self) -> bool:
        """Whether one release alone has a score."""
        return (self.score("champion") is None) != (self.score("challenger") is None)

    @property
    def is_flip(self) -> bool:
        """Whether the judgement changed: another score, or one release alone has one."""
        return self.is_one_sided or abs(self.difference() or 0.0) > _SAME_SCORE

    @property
    def outcome(self) -> Outcome:
        difference = self.difference()
        if difference is None:
            return "unscored"
        if abs(difference) > _SAME_SCORE:
            return "won" if difference > 0 else "lost"
        return "same" if self.score("champion") else "both_failed"

    @property
    def is_reworded(self) -> bool:
        """Whether the judgement stayed and the text is another."""
        champion, challenger = ([a.text for a in self.answers[role]] for role in ROLES)
        return not self.is_flip and champion != challenger
