"""Slices: the same comparison within parts of a suite, to show where a difference comes from.

Descriptive, never gating: each interval stands alone at 1 - alpha, so among many slices some lie
off by chance. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.gate.answers import PairedSample, pairs_of
from tasks.statistics.paired import compare


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One value of one slice of one suite. No interval below two clusters. Keys are the JSON's."""

    suite: str
    slice: str
    value: str
    num_samples: int
    num_clusters: int
    champion: float
    challenger: float
    difference: float
    ci_low: float | None
    ci_high: float | None


def slice_results(samples: Sequence[PairedSample], alpha: float) -> tuple[SliceResult, ...]:
    """Every suite × slice × value, sorted by name. Known failures count by their origin alone:
    picked for failing, they would tilt every other slice they lie in."""
    parts: dict[tuple[str, str, str], list[PairedSample]] = {}
    for sample in samples:
        for name, value in (sample.slices or {}).items():
            if sample.is_known_failure and name != "origin":
                continue
            parts.setdefault((sample.suite, name, value), []).append(sample)
    return tuple(_result(key, parts[key], alpha) for key in sorted(parts))


def _result(
    key: tuple[str, str, str], samples: Sequence[PairedSample], alpha: float
) -> SliceResult:
    pairs = pairs_of(samples)
    interval = None
    if pairs.num_pairs >= 2 and pairs.num_clusters >= 2:
        interval = compare(pairs, alpha).interval
    return SliceResult(
        *key,
        num_samples=pairs.num_pairs,
        num_clusters=pairs.num_clusters,
        champion=float(pairs.first.mean()),
        challenger=float(pairs.second.mean()),
        difference=float(pairs.difference.mean()),
        ci_low=None if interval is None else interval.low,
        ci_high=None if interval is None else interval.high,
    )
