"""A sample of an eval set: what is asked, and what a right answer to it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.model.served import AS_ASKED, Served

#: the origin of a call that a person pinned
PINNED = "pin"


@dataclass(frozen=True, slots=True)
class FedSample:
    """A sample as it was first observed on a pair of releases: it is evidence once, ever."""

    sample_id: str
    cluster_id: str
    difference: float
    weight: float
    num_draws: float = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the prompt of a release meets in samples: so many have this system message."""

    suite: str
    task: str | None
    system: str | None
    num_samples: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of an eval set, from the set that curate makes to the verdict.

    `sample_id` is by content, `cluster_id` names the samples of a set that depend on each other.
    `target_kind` is gold, corrected, accepted, recorded or logged; `origin` suite, failure, traffic
    or pin. `request_id`: the logged call it was mined from.

    `weight`: what it counts in its suite's means; a hand-written sample that production never asked
    has 1, and so have the samples of production on average, each in proportion to the calls it
    stands for. `num_draws`: how many independent draws from the traffic it is worth; a question
    that was asked in many conversations is not one chance find. `stratum`: failed, liked or
    unjudged, by what people said of those calls; empty for one that production never asked.
    `is_counted` False: drawn by outcome from calls of which the other outcomes could not be drawn,
    or pinned by a person, so that counting it would tilt the suite; it is only shown, or blocks.
    `served`: what the model is told beside system text and messages. `session` and `step`: the
    recorded session that it is of, and its place there from 1 on.
    """

    sample_id: str
    suite: str
    task: str | None
    messages: tuple[Mapping[str, Any], ...]
    system: str | None
    target: str
    target_kind: str
    origin: str
    slices: Mapping[str, str] = field(default_factory=dict)
    must_pass: bool = False
    request_id: str | None = None
    cluster_id: str = ""
    weight: float = 1.0
    num_draws: float = 1.0
    stratum: str = ""
    is_counted: bool = True
    served: Served = AS_ASKED
    session: str | None = None
    step: int | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether it is there to be passed, and for nothing else."""
        return self.origin == PINNED
