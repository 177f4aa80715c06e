"""Answers: what releases said to a sample, and what each counts.

Owns the rule that silence never helps a release: an answer without a value, missing or unscored,
counts 0, and where the baseline's has none the difference is at most 0. Both stay in every
denominator. Repeats are paired seed by seed and averaged per sample before anything else. Which
of the stored scores is an answer's value is tasks/scoring/effective.py's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.model.sample import Sample

#: the part a release plays in a run; there may be more of them than these two
Role = str
ROLES: tuple[Role, ...] = ("champion", "challenger")


@dataclass(frozen=True, slots=True, order=True)
class CompletionKey:
    """What a completion is a function of."""

    release_digest: str
    sample_id: str
    seed: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion with its score. `value` None: missing (no completion), or unscored.

    `text` is None where there is no completion: `error` then says why, where it is known.
    """

    value: float | None = None
    is_missing: bool = False
    text: str | None = None
    error: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    scorer: str | None = None
    unscored_reason: str | None = None
    extracted: str | None = None
    explanation: str | None = None

    @property
    def counted(self) -> float:
        return 0.0 if self.value is None else self.value


MISSING = Answer(is_missing=True)
UNSCORED = Answer()


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A sample with the answers of every release of a run: one a repeat, in the order of seeds."""

    sample: Sample
    answers: Mapping[Role, tuple[Answer, ...]]

    def score(self, role: Role) -> float:
        """What the sample counts for a release: the mean over its repeats."""
        answers = self.answers[role]
        return sum(answer.counted for answer in answers) / len(answers)

    def is_lacking(self, role: Role) -> bool:
        """Whether any repeat is missing or unscored."""
        return any(answer.value is None for answer in self.answers[role])

    def difference(self, role: Role = "challenger", baseline: Role = "champion") -> float:
        """`role` minus `baseline`, averaged over the repeats."""
        differences = [
            min(0.0, new.counted - old.counted) if old.value is None else new.counted - old.counted
            for new, old in zip(self.answers[role], self.answers[baseline], strict=True)
        ]
        return sum(differences) / len(differences)

    @property
    def is_one_sided(self) -> bool:
        """Whether one release alone has a value in every repeat."""
        return self.is_lacking("champion") != self.is_lacking("challenger")

    @property
    def is_flip(self) -> bool:
        """Whether the judgement changed: another score, or one release alone has one."""
        return self.is_one_sided or abs(self.difference()) > 1e-9
