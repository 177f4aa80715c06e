"""The noise floor of a release: by how much two runs of one and the same release differ.

The stage noise measures it and keeps its JSON; gate and plan read it back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

ConditionName = Literal["batch", "processor", "seed", "judge"]
#: what the engine promises, where it does, that it changes no answer
OF_THE_ENGINE: tuple[ConditionName, ...] = ("batch", "processor")


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that should not matter, and was another one when the release answered again.

    `what`: "another batch and another order". `is_promised`: the engine promises that no answer
    changes. `not_measured`: why there was nothing to change; empty: it was measured.
    """

    name: ConditionName
    what: str
    is_promised: bool = False
    not_measured: str = ""


@dataclass(frozen=True, slots=True)
class Repetition:
    """The answers of one suite beside the same ones under another condition.

    `num_answers` were compared and `num_changed` of them were other texts (of the judge: were
    judged otherwise); `num_lost` could not be compared. Of `num_samples` samples `num_moved` count
    something else, on average by `difference`. `shift` and `scatter` are the two parts of the
    floor: what more samples do not average out, and what they do; None: fewer than two clusters.
    """

    num_answers: int
    num_changed: int
    num_lost: int
    num_samples: int
    num_moved: int
    difference: float | None
    shift: float
    scatter: float | None


@dataclass(frozen=True, slots=True)
class SuiteNoise:
    """Of one suite, with `num_samples` that count. `scorer`: the version that judged."""

    suite: str
    scorer: str
    num_samples: int
    repetitions: Mapping[ConditionName, Repetition]

    @property
    def floor(self) -> float | None:
        return self.floor_at(self.num_samples)

    def floor_at(self, num_samples: int) -> float | None:
        """What the mean difference on so many such samples reaches by noise alone in 95 of 100
        repetitions; None: not known. Independent scatters add by their squares, shifts as they are.
        """
        return _floor(self.repetitions.values(), self.num_samples, num_samples)

    def floor_of(self, name: ConditionName, num_samples: int) -> float | None:
        """The part of one condition."""
        return _floor([self.repetitions[name]], self.num_samples, num_samples)


def _floor(parts: Iterable[Repetition], num_measured: int, num_samples: int) -> float | None:
    shift, squares = 0.0, 0.0
    for part in parts:
        if part.scatter is None:
            return None
        shift += part.shift
        squares += part.scatter**2
    if not squares:
        return shift
    return shift + math.sqrt(squares * num_measured / num_samples) if num_samples else None


@dataclass(frozen=True, slots=True)
class Noise:
    """All that was measured of one release. `repeats`: completions a sample whose mean is its
    score; another number has another floor."""

    release: str
    release_digest: str
    repeats: int
    conditions: tuple[Condition, ...]
    suites: tuple[SuiteNoise, ...]

    @property
    def measured(self) -> tuple[Condition, ...]:
        return tuple(condition for condition in self.conditions if not condition.not_measured)

    @property
    def is_promise_broken(self) -> bool:
        """Whether the engine changed an answer that it promises not to."""
        return any(c.is_promised and self.num_changed(c.name) for c in self.measured)

    def num_answers(self, name: ConditionName) -> int:
        return sum(suite.repetitions[name].num_answers for suite in self.suites)

    def num_changed(self, name: ConditionName) -> int:
        return sum(suite.repetitions[name].num_changed for suite in self.suites)

    def to_json(self) -> dict[str, Any]:
        """`floor` is of a suite at its size; from_json computes it again."""
        return asdict(self) | {
            "suites": [asdict(suite) | {"floor": suite.floor} for suite in self.suites]
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Noise:
        return cls(
            release=value["release"],
            release_digest=value["release_digest"],
            repeats=value["repeats"],
            conditions=tuple(Condition(**condition) for condition in value["conditions"]),
            suites=tuple(
                SuiteNoise(
                    suite["suite"],
                    suite["scorer"],
                    suite["num_samples"],
                    {name: Repetition(**part) for name, part in suite["repetitions"].items()},
                )
                for suite in value["suites"]
            ),
        )


@dataclass(frozen=True, slots=True)
class KnownNoise:
    """What is known of a release when it is judged: by which run, and how many days ago."""

    noise: Noise
    run_id: str
    age_days: float

    def applying_to(self, scorers: Mapping[str, str], repeats: int) -> dict[str, SuiteNoise]:
        """Suite → its noise, where it was measured by this scorer with so many repeats."""
        if repeats != self.noise.repeats:
            return {}
        return {one.suite: one for one in self.noise.suites if scorers.get(one.suite) == one.scorer}
