"""Slices: the same comparison within parts of a suite, to show where a difference comes from.

Descriptive, never gating: each interval stands alone at 1 - alpha, so among many slices some lie
off by chance. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.gate.pairs import pairs_of
from tasks.model.answer import JudgedSample
from tasks.model.verdict import SliceResult
from tasks.statistics.paired import compare


def slice_results(judged: Sequence[JudgedSample], alpha: float) -> tuple[SliceResult, ...]:
    """Every suite × slice × value, sorted by name. Known failures count by their origin alone:
    picked for failing, they would tilt every other slice they lie in."""
    parts: dict[tuple[str, str, str], list[JudgedSample]] = {}
    for item in judged:
        sample = item.sample
        for name, value in sample.slices.items():
            if sample.is_known_failure and name != "origin":
                continue
            parts.setdefault((sample.suite, name, value), []).append(item)
    return tuple(_result(key, parts[key], alpha) for key in sorted(parts))


def _result(key: tuple[str, str, str], judged: Sequence[JudgedSample], alpha: float) -> SliceResult:
    pairs = pairs_of(judged)
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
