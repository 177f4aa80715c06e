"""A mean from many values of a judge and few of people, whose interval knows how good the judge is.

Pure numpy, scipy for the quantile (imported late). Knows nothing of suites, judges or releases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tasks.model.comparison import Interval
from tasks.statistics.intervals import Labels, Values

#: labels and the weight of the judge are both estimated from the labelled clusters
FEWEST_LABELLED = 3


@dataclass(frozen=True, slots=True)
class PredictedMean:
    """`power`: the weight of the judge, 0 to 1; at 0 the labels speak alone."""

    mean: float
    interval: Interval
    power: float
    num_labelled: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some samples: values and weights [n] float64, weights positive; clusters [n] int64, of one
    numbering for both parts."""

    values: Values
    weights: Values
    clusters: Labels

    @property
    def shares(self) -> Values:
        return np.asarray(self.weights / self.weights.sum())

    @property
    def mean(self) -> float:
        return float(self.shares @ self.values)


def ppi_mean(labels: Values, labelled: Part, others: Part, alpha: float) -> PredictedMean:
    """PPI++: mean(labels) + power · (mean of the judge on the others - its mean on the labelled).

    `labels`: [n] float64, by people; `labelled` and `others`: the judge's values of those n samples
    and of the ones without a label. A paired difference of two releases is the mean of differences:
    give those, of people and judge. Power: the one that makes the interval shortest,
    cov(label, judge) / (1 + n/N) var(judge), within 0 and 1. Interval: Student's, by the variance
    of what each cluster brings, wherever its samples lie. Assumes that the labelled samples were
    drawn at random of all. The power costs a degree of freedom, which matters below about 50
    labels. Raises ValueError below three labelled clusters, or where no sample lacks a label.
    Paper: Angelopoulos, Duchi & Zrnic, "PPI++: Efficient Prediction-Powered Inference" (2023).
    """
    from scipy.special import stdtrit

    num_labelled = len(np.unique(labelled.clusters))
    if num_labelled < FEWEST_LABELLED or not len(others.values):
        raise ValueError(f"{num_labelled} labelled clusters, {len(others.values)} others")
    ratio = len(labels) / len(others.values)
    mean_label = float(labelled.shares @ labels)
    judged, weights = np.r_[labelled.values, others.values], np.r_[labelled.weights, others.weights]
    middle = np.average(judged, weights=weights)
    spread = np.average((judged - middle) ** 2, weights=weights)
    together = labelled.shares @ ((labels - mean_label) * (labelled.values - labelled.mean))
    power = float(np.clip(together / ((1 + ratio) * spread), 0, 1)) if spread else 0.0
    rectified = labels - mean_label - power * (labelled.values - labelled.mean)
    predicted = power * (others.values - others.mean)
    brought = np.r_[labelled.shares * rectified, others.shares * predicted]
    _, index = np.unique(np.r_[labelled.clusters, others.clusters], return_inverse=True)
    sums = np.bincount(index, weights=brought)
    degrees = num_labelled - 2
    error = math.sqrt(num_labelled / degrees * math.fsum(sums**2))
    mean = mean_label + power * (others.mean - labelled.mean)
    half = float(stdtrit(degrees, 1 - alpha / 2)) * error
    return PredictedMean(mean, Interval(mean - half, mean + half), power, len(labels))
