"""Which of the mined samples an eval set takes, and what each then weighs.

Places go to the suites that can gate first, in equal parts; what one cannot fill goes to the
others. Within a suite every stratum with candidates gets a minimum, and the rest is shared by the
square root of its calls: a compromise between equal precision for each and the best precision of
the whole, which needs no guess at variances (power allocation: Bankier, "Power allocations", 1988).
Within a stratum candidates are drawn with a chance proportional to the calls they stand for, by
sequential Poisson sampling (Ohlsson, "Sequential Poisson sampling", 1998) with permanent random
numbers: deterministic, independent of order, and new calls change little of an earlier choice.
Nothing here knows how an answer was, only how many calls there are. Pure.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

#: samples that every stratum gets, if it has them and there are places
MIN_SAMPLES = 20
_DECIMALS = 9
_Name = TypeVar("_Name", str, int)


def places_of_suites(places: int, tiers: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Suite → places. tiers: suite → how many it can fill; those of a tier come before the next."""
    given: dict[str, int] = {}
    for capacity in tiers:
        given |= allocate(places - sum(given.values()), dict.fromkeys(capacity, 1), capacity)
    return given


def places_of_strata(
    places: int, calls: Mapping[str, float], capacity: Mapping[str, int]
) -> dict[str, int]:
    """Stratum → places, of those of a suite. `calls` are positive."""
    least = {name: min(MIN_SAMPLES, number) for name, number in capacity.items()}
    given = allocate(places, dict.fromkeys(least, 1), least)
    roots = {name: max(1, round(math.sqrt(number) * 2**20)) for name, number in calls.items()}
    left = {name: number - given[name] for name, number in capacity.items()}
    further = allocate(places - sum(given.values()), roots, left)
    return {name: number + further[name] for name, number in given.items()}


def draw(sizes: Mapping[str, float], places: int, seed: int) -> dict[str, float]:
    """Key of each drawn candidate → its size over its chance to be drawn; they add up to all sizes.

    sizes: key of a candidate → calls it stands for, positive. One so large that its chance would
    reach 1 is drawn for certain, and the others share the places left.
    """
    if places >= len(sizes):
        return {key: float(size) for key, size in sizes.items()}
    if places < 1:
        return {}
    by_size = sorted(sizes, key=lambda key: (-sizes[key], key))
    from_here = list(accumulate(sizes[key] for key in reversed(by_size)))[::-1]
    certain = 0
    while (
        certain < places - 1 and sizes[by_size[certain]] * (places - certain) >= from_here[certain]
    ):
        certain += 1
    weights = {key: float(sizes[key]) for key in by_size[:certain]}
    lots = sorted((_lot(seed, key) / sizes[key], key) for key in by_size[certain:])
    others = places - certain
    return weights | {key: from_here[certain] / others for _, key in lots[:others]}


def thinned(draws: float, chance: float) -> float:
    """Independent draws that a sample is worth which was taken with this chance, and is worth
    `draws` where it is taken for certain.

    A sample of a share p of all, whose variance is v / draws if it is certain, brings
    (1 - p) / p² of its square by the drawing and 1 / (p · draws) by the draws: with weight 1 / p
    together 1 - p + p / draws of what a single draw brings (two-phase sampling).
    """
    return 1 / (1 - chance + chance / draws)


def allocate(
    places: int, traffic: Mapping[_Name, int], capacity: Mapping[_Name, int]
) -> dict[_Name, int]:
    """Share `places` in proportion to traffic, none above its capacity.

    By the largest remainder (Hamilton's method). What a full one cannot take goes to the others.
    Ties go to the smaller name. The sum is min(places, sum of capacities). All traffic is positive.
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


def to_mean_one(weights: Sequence[float]) -> list[float]:
    """The weights in the same proportions, 1 on average; rounded, so that the last bit of another
    machine's arithmetic makes no other set and equal ones are equal. None becomes 0."""
    total = math.fsum(weights)
    least = 10.0**-_DECIMALS
    return [max(least, round(weight * len(weights) / total, _DECIMALS)) for weight in weights]


def _lot(seed: int, key: str) -> int:
    """A number of 64 bits, above 0, that stays with a candidate from draw to draw."""
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") + 1
