"""The health of an eval set: what the answers that the store holds say of its samples, not of any
release. tasks/scoring/health.py makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.model.sample import Sample

#: always_wrong: of every release; look at the target. negative: better releases do worse; the same.
#: flaky: one release disagrees with itself. always_right: it guards, and tells no releases apart
Flag = Literal["negative", "always_wrong", "flaky", "always_right"]


@dataclass(frozen=True, slots=True)
class StoredScores:
    """What the answers that the store holds count, one a place: [num_scores] each.

    sample: the place of the sample in its set; build: that of the release's digest in `digests`,
    oldest first; both int64, as seed is. value: float64; what nobody knows is left out.
    """

    digests: tuple[str, ...]
    sample: NDArray[np.int64]
    build: NDArray[np.int64]
    seed: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SampleHealth:
    """One sample. scores: one a release, in the order of `SetHealth.releases`; None: not known.

    `noise`: the variance of one release's answers under other seeds, where there are any.
    `correlation` with the rest of its suite, and the chance of one so low, corrected for all
    samples; None where it is not tested.
    """

    sample: Sample
    scores: tuple[float | None, ...]
    num_answers: int
    flags: tuple[Flag, ...]
    noise: float | None
    correlation: float | None
    adjusted_p: float | None

    @property
    def mean(self) -> float | None:
        """Over the releases of which a score is known."""
        known = [score for score in self.scores if score is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class SuiteHealth:
    """Numbers of samples of one suite, by the scorer in the version that counts.

    num_known: any release's score is known. num_enough: so many releases or answers that "always"
    means something. num_differing: the releases' scores differ. num_repeated: a release answered it
    under two seeds. num_tested: the correlation with the rest could be computed.
    """

    suite: str
    scorer: str
    num_samples: int
    num_releases: int
    num_known: int
    num_enough: int
    num_always_right: int
    num_always_wrong: int
    num_differing: int
    num_repeated: int
    num_flaky: int
    num_tested: int
    num_negative: int


@dataclass(frozen=True, slots=True)
class SetHealth:
    """`releases`: names, the same release on another machine or engine is one. `samples` in the
    order of the set."""

    releases: tuple[str, ...]
    suites: tuple[SuiteHealth, ...]
    samples: tuple[SampleHealth, ...]

    def worst(self, limit: int) -> tuple[SampleHealth, ...]:
        """Those to look at first: negative ones by certainty, then those that all got wrong, then
        flaky ones by their noise; not those that all got right."""
        to_look_at = [one for one in self.samples if one.flags not in ((), ("always_right",))]
        return tuple(sorted(to_look_at, key=_urgency)[:limit])


def _urgency(sample: SampleHealth) -> tuple[bool, float, bool, float, str]:
    is_negative = "negative" in sample.flags
    certainty = sample.adjusted_p if is_negative and sample.adjusted_p is not None else 1.0
    return (
        not is_negative,
        certainty,
        "always_wrong" not in sample.flags,
        -(sample.noise or 0.0),
        sample.sample.sample_id,
    )
