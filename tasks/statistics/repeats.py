"""Repeats of a sample: how much of a mean difference's variance is the releases' own sampling, and
how much the samples; what other numbers of either would bring.

Owns the one-way random-effects decomposition; knows nothing of suites, verdicts or costs. Pure.
Papers: Miller, "Adding Error Bars to Evals" (arXiv 2411.00640), section 3; Searle, Casella &
McCulloch, "Variance Components" (1992), chapter 3, for the estimators.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tasks.statistics.intervals import Labels, Values, clustered_mean


@dataclass(frozen=True, slots=True)
class Noise:
    """The squared standard error of a mean difference, in two parts that add up to it.

    `of_answers`: what repeats would bring to 0. `of_samples`: what only samples would; by an
    unbiased estimate, so that chance can take it below 0, which is told as it is.
    """

    num_samples: int
    num_repeats: int
    of_answers: float
    of_samples: float

    @property
    def squared(self) -> float:
        return self.of_answers + self.of_samples

    @property
    def share(self) -> float:
        """Of the squared standard error, what is the releases' own sampling: 0 to 1."""
        if self.squared == 0:
            return 0.0
        return min(1.0, self.of_answers / self.squared)

    def standard_error(self, repeats: float) -> float:
        """With so many repeats of these samples; infinity: what no number of them goes below."""
        answers = self.of_answers * self.num_repeats / repeats
        return math.sqrt(max(0.0, self.of_samples) + answers)

    @property
    def enough_repeats(self) -> float | None:
        """From so many on no number of repeats takes off as much as twice the samples would: there
        the two parts are equal. None: samples bring nothing that repeats do not.

        For the same number of answers new samples always bring more than repeats do: with A / n +
        B / (n k) and n k given, k = 1 is best.
        """
        if self.of_samples <= 0:
            return None
        return self.num_repeats * self.of_answers / self.of_samples

    @property
    def samples_asked_once(self) -> float:
        """How many samples like these with one answer each would have the standard error of now."""
        now = self.standard_error(self.num_repeats)
        return self.num_samples * (self.standard_error(1) / now) ** 2 if now else self.num_samples


def noise(differences: Values, clusters: Labels, weights: Values) -> Noise:
    """Of [num_samples, num_repeats] differences of two releases' scores, the repeats of a sample
    paired by seed.

    Estimators: within, the sample's variance over its repeats with one degree of freedom less, so
    that what the two releases share under one seed cancels out; of answers, Σ w² · within / k /
    (Σ w)²; in all, the cluster-robust squared standard error of the samples' means
    (`clustered_mean`); of samples, what is left. Unbiased for clusters of equal weight, with
    repeats independent of each other. Small n: the parts are as uncertain as any variance, with few
    clusters very much so. Raises ValueError below two repeats or two clusters.
    """
    num_samples, num_repeats = differences.shape
    if num_repeats < 2:
        raise ValueError("one answer a sample says nothing of what another would have been")
    within = differences.var(axis=1, ddof=1) / num_repeats
    of_answers = math.fsum(weights**2 * within) / math.fsum(weights) ** 2
    total = clustered_mean(differences.mean(axis=1), clusters, weights).standard_error ** 2
    return Noise(num_samples, num_repeats, of_answers, total - of_answers)
