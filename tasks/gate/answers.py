"""From stored scores to pairs: what counts for a release where an answer is missing.

Owns the rule that silence never helps the challenger:
- a missing or unscored answer of the challenger counts 0;
- where the champion's is missing or unscored, the difference is at most 0 for that pair;
- both are counted, and stay in the denominator.
Repeats are paired seed by seed and averaged per sample before anything else. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.statistics.paired import Pairs


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion as scored: `value` None is missing (no completion) or unscored."""

    value: float | None
    is_missing: bool = False

    @property
    def counted(self) -> float:
        return 0.0 if self.value is None else self.value


MISSING = Answer(None, is_missing=True)
UNSCORED = Answer(None)


@dataclass(frozen=True, slots=True)
class PairedSample:
    """A sample with the answers of both releases, one a repeat, in the same order of seeds.

    `is_known_failure`: taken into the eval set because production got it wrong.
    """

    sample_id: str
    suite: str
    cluster_id: str
    champion: tuple[Answer, ...]
    challenger: tuple[Answer, ...]
    must_pass: bool = False
    slices: Mapping[str, str] | None = None
    is_known_failure: bool = False

    @property
    def champion_score(self) -> float:
        return _mean([answer.counted for answer in self.champion])

    @property
    def challenger_score(self) -> float:
        return _mean([answer.counted for answer in self.challenger])

    @property
    def difference(self) -> float:
        return _mean(
            [
                min(0.0, new.counted - old.counted)
                if old.value is None
                else new.counted - old.counted
                for old, new in zip(self.champion, self.challenger, strict=True)
            ]
        )


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


def tally(answers: Sequence[tuple[Answer, ...]]) -> Tally:
    """A sample is missing if any repeat is, else unscored if any repeat is."""
    num_missing = sum(any(answer.is_missing for answer in repeats) for repeats in answers)
    num_lacking = sum(any(answer.value is None for answer in repeats) for repeats in answers)
    return Tally(len(answers) - num_lacking, num_missing, num_lacking - num_missing)


def pairs_of(samples: Sequence[PairedSample]) -> Pairs:
    """The samples as arrays. Raises ValueError on a sample without a cluster id: without it the
    samples would silently count as independent."""
    for sample in samples:
        if not sample.cluster_id:
            raise ValueError(f"sample {sample.sample_id} has no cluster id")
    _, clusters = np.unique([sample.cluster_id for sample in samples], return_inverse=True)
    return Pairs(
        first=np.array([sample.champion_score for sample in samples], dtype=np.float64),
        second=np.array([sample.challenger_score for sample in samples], dtype=np.float64),
        difference=np.array([sample.difference for sample in samples], dtype=np.float64),
        clusters=np.asarray(clusters, dtype=np.int64).reshape(-1),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
