"""Which of the mined samples an eval set takes: failures first, then today's traffic in miniature.

Deterministic and independent of order: within a stratum the samples with the smallest hash of
(seed, request id) are taken, so new calls change little of an earlier choice. Strata get places in
proportion to their traffic by the largest remainder (Hamilton's method). Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mined:
    """A sample that could be taken. `num_calls` is how many logged calls it stands for."""

    key: str
    stratum: tuple[str, ...]
    is_failure: bool
    num_calls: int = 1


def select(
    mined: Sequence[Mined], *, max_samples: int, failure_share: float, seed: int
) -> frozenset[str]:
    """Keys of at most `max_samples`: failures up to their share, then the rest by traffic.

    Where there are too few others, the places left go to further failures.
    """
    failures = [item for item in mined if item.is_failure]
    others = [item for item in mined if not item.is_failure]
    num_failures = min(len(failures), int(max_samples * failure_share + 0.5))
    num_others = min(len(others), max_samples - num_failures)
    num_failures = min(len(failures), max_samples - num_others)
    return frozenset(
        _stratified(failures, num_failures, seed) + _stratified(others, num_others, seed)
    )


def allocate(
    places: int, traffic: Mapping[tuple[str, ...], int], capacity: Mapping[tuple[str, ...], int]
) -> dict[tuple[str, ...], int]:
    """Share `places` among strata in proportion to traffic, none above its capacity.

    What a full stratum cannot take goes to the others. Ties go to the smaller name. The sum is
    min(places, sum of capacities). Every stratum's traffic is positive.
    """
    given = dict.fromkeys(traffic, 0)
    active = sorted(traffic)
    left = places
    while active and left > 0:
        total = sum(traffic[name] for name in active)
        full = [name for name in active if left * traffic[name] >= capacity[name] * total]
        if not full:
            break
        for name in full:
            given[name] = capacity[name]
        left -= sum(capacity[name] for name in full)
        active = [name for name in active if name not in set(full)]
    if not active or left <= 0:
        return given
    total = sum(traffic[name] for name in active)
    for name in active:
        given[name] = left * traffic[name] // total
    over = left - sum(given[name] for name in active)
    by_remainder = sorted(active, key=lambda name: (-(left * traffic[name] % total), name))
    for name in by_remainder[:over]:
        given[name] += 1
    return given


def length_band(num_chars: int) -> str:
    """Band of a conversation by its characters."""
    for limit, name in ((200, "short"), (1_000, "medium"), (4_000, "long")):
        if num_chars < limit:
            return name
    return "very long"


def _stratified(items: Iterable[Mined], places: int, seed: int) -> list[str]:
    strata: dict[tuple[str, ...], list[Mined]] = {}
    for item in items:
        strata.setdefault(item.stratum, []).append(item)
    given = allocate(
        places,
        {name: sum(item.num_calls for item in members) for name, members in strata.items()},
        {name: len(members) for name, members in strata.items()},
    )
    chosen: list[str] = []
    for name, members in strata.items():
        members.sort(key=lambda item: _lot(seed, item.key))
        chosen += [item.key for item in members[: given[name]]]
    return chosen


def _lot(seed: int, key: str) -> tuple[bytes, str]:
    return hashlib.sha256(f"{seed}\n{key}".encode()).digest(), key
