"""No margin may be below the noise floor: what the champion against itself reaches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tasks.model.comparison import Interval
from tasks.model.noise import SuiteNoise
from tasks.model.verdict import SliceResult


def is_within_noise(interval: Interval, margin: float, floor: float | None) -> bool:
    """Whether a pass would rest on a difference that the champion against itself reaches as well.

    No margin below the floor can be passed, but by a win that lies beyond it as a whole. A certain
    loss needs no margin, and stays one.
    """
    return floor is not None and margin < floor and interval.low <= floor


def slices_beyond_noise(
    slices: Iterable[SliceResult], noises: Mapping[str, SuiteNoise]
) -> tuple[SliceResult, ...]:
    """Guarded slices by the same rule, with the floor of their suite at their own size."""
    return tuple(_beyond_noise(part, noises.get(part.suite)) for part in slices)


def _beyond_noise(part: SliceResult, noise: SuiteNoise | None) -> SliceResult:
    if part.role != "guarded" or noise is None or part.interval is None:
        return part
    floor = noise.floor_at(part.num_samples)
    is_held = part.verdict == "no_worse" and is_within_noise(part.interval, part.margin, floor)
    return replace(part, noise_floor=floor, verdict="cannot_tell" if is_held else part.verdict)
