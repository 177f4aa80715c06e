"""Population stability index: how far a distribution has moved, whatever the number of rows.

PSI = Σ (new − reference) · ln(new / reference) over the shares of each bin, which is the symmetric
Kullback-Leibler divergence in nats. By the convention of credit scoring, below 0.1 is no change
that matters and above 0.25 a large one. Half a row is added to every bin, so that an empty one
gives a finite value; with B bins that and chance alone give about (B − 1)(1/n + 1/m).
Pure. Source: Siddiqi, "Credit Risk Scorecards" (2006); Yurdakul, "Statistical Properties of
Population Stability Index" (2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PSEUDO_COUNT = 0.5
#: shares of the reference below the edges of the bins
DECILES = tuple(tenth / 10 for tenth in range(1, 10))
#: the same with the lowest values told apart
LOW_TAIL = (0.01, 0.05, *DECILES)


def psi(reference: NDArray[np.int64], new: NDArray[np.int64]) -> float:
    """Of two lists of counts over the same bins, [num_bins] each; each has at least one row."""
    before, after = (
        (counts + _PSEUDO_COUNT) / (counts + _PSEUDO_COUNT).sum() for counts in (reference, new)
    )
    return float(((after - before) * np.log(after / before)).sum())


def binned(
    reference: NDArray[np.float64],
    new: NDArray[np.float64],
    shares: Sequence[float] = DECILES,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of both samples in bins cut at these quantiles of the reference's values.

    A value that is several quantiles has a bin of its own, and so has NaN, which is "no value".
    """
    edges = _edges(reference[~np.isnan(reference)], shares)
    size = len(edges) + 2  # above the last edge, and no value
    counts = []
    for sample in (reference, new):
        bins = np.searchsorted(edges, sample, side="left")
        bins[np.isnan(sample)] = size - 1
        counts.append(np.bincount(bins, minlength=size))
    used = (counts[0] + counts[1]) > 0
    return counts[0][used], counts[1][used]


def _edges(values: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Upper ends of the bins but the last."""
    if not len(values):
        return np.zeros(0)
    quantiles, times = np.unique(
        np.quantile(values, shares, method="inverted_cdf"), return_counts=True
    )
    atoms = np.nextafter(quantiles[times > 1], -np.inf)
    return np.union1d(quantiles, atoms)
