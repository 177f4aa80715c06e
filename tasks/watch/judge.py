"""Which columns of the new calls are distributed otherwise than in the reference.

An alarm needs both: a p value, adjusted by Holm over all columns judged, of at most the false-alarm
rate, and a PSI of at least the smallest that matters. So with no change at all the chance of any
alarm in the whole report is at most the false-alarm rate, and a change too small to matter raises
none however many calls there are. Independence of the rows is assumed: the caller samples one call
a session, and of equal texts one is kept. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tasks.model.drift import ColumnDrift
from tasks.settings import DriftSettings
from tasks.statistics.families import holm
from tasks.statistics.psi import LOW_TAIL, binned, psi
from tasks.statistics.two_sample import Tested, chi_square, kolmogorov_smirnov
from tasks.watch.embedding import embed, normalized
from tasks.watch.moved import moved_numbers, moved_values
from tasks.watch.texts import novelty, topics

#: further values of a column are one: "other"
_MAX_CATEGORIES = 50
NO_VALUE = "(none)"


@dataclass(frozen=True, slots=True)
class Calls:
    """Independent calls by column. Numbers: NaN is no value. Texts: None or empty is none."""

    numbers: Mapping[str, NDArray[np.float64]]
    categories: Mapping[str, Sequence[str | None]]
    texts: Sequence[str | None]


def judge(
    reference: Calls, new: Calls, limits: DriftSettings, rng: Generator
) -> tuple[ColumnDrift, ...]:
    """All columns, in a fixed order. Both sides have the same columns."""
    num_columns = len(new.numbers) + len(new.categories) + 2
    # a p value must be able to fall below the share of the rate that one column gets
    max_draws = max(1_999, math.ceil(2 * num_columns / limits.false_alarm_rate) - 1)
    columns: list[ColumnDrift] = []
    for name in new.categories:
        pair = reference.categories[name], new.categories[name]
        columns.append(_category(name, *pair, limits, max_draws, rng))
    for name in new.numbers:
        columns.append(
            _number(name, reference.numbers[name], new.numbers[name], limits, max_draws, rng)
        )
    columns += _texts(reference.texts, new.texts, limits, max_draws, rng)
    return _with_alarms(columns, limits)


def _with_alarms(columns: Sequence[ColumnDrift], limits: DriftSettings) -> tuple[ColumnDrift, ...]:
    adjusted = iter(holm([column.p_value for column in columns if column.p_value is not None]))
    judged = []
    for column in columns:
        if column.p_value is None or column.psi is None:
            judged.append(column)
            continue
        p = next(adjusted)
        is_alarm = p <= limits.false_alarm_rate and column.psi >= limits.min_psi
        judged.append(replace(column, adjusted_p=p, is_alarm=is_alarm))
    return tuple(judged)


def _category(
    name: str,
    reference: Sequence[str | None],
    new: Sequence[str | None],
    limits: DriftSettings,
    max_draws: int,
    rng: Generator,
) -> ColumnDrift:
    blank = ColumnDrift(name, len(reference), len(new))
    if why := _too_few(blank, limits):
        return replace(blank, not_judged=why)
    before, after = (
        Counter(NO_VALUE if v is None else v for v in side) for side in (reference, new)
    )
    if why := _one_value(set(before) | set(after) == {NO_VALUE}, len(before | after)):
        return replace(blank, not_judged=why)
    common = [value for value, _ in (before + after).most_common(_MAX_CATEGORIES)]
    table = np.array([[side[value] for value in common] for side in (before, after)])
    other = np.array([[len(reference)], [len(new)]]) - table.sum(axis=1, keepdims=True)
    if other.any():
        table = np.hstack([table, other])
    judged = _filled(blank, psi(table[0], table[1]), chi_square(table, max_draws, rng))
    return replace(judged, moved=moved_values(before, after))


def _number(
    name: str,
    reference: NDArray[np.float64],
    new: NDArray[np.float64],
    limits: DriftSettings,
    max_draws: int,
    rng: Generator,
) -> ColumnDrift:
    blank = ColumnDrift(name, len(reference), len(new))
    if why := _too_few(blank, limits):
        return replace(blank, not_judged=why)
    values = np.unique(np.concatenate([reference, new]))  # of several NaN one
    if why := _one_value(bool(np.isnan(values).all()), len(values)):
        return replace(blank, not_judged=why)
    tested = kolmogorov_smirnov(reference, new, max_draws, rng)
    judged = _filled(blank, psi(*binned(reference, new)), tested)
    return replace(judged, moved=moved_numbers(reference, new, NO_VALUE))


def _texts(
    reference: Sequence[str | None],
    new: Sequence[str | None],
    limits: DriftSettings,
    max_draws: int,
    rng: Generator,
) -> tuple[ColumnDrift, ColumnDrift]:
    before, after = _different(reference, new, rng)
    blank = (
        ColumnDrift("text", len(before), len(after)),
        ColumnDrift("text_novelty", len(before), len(after)),
    )
    what = "different texts"
    if why := _too_few(blank[0], limits, what):
        return replace(blank[0], not_judged=why), replace(blank[1], not_judged=why)
    vectors = embed([*before, *after])
    tested, leanings = topics(vectors, len(before), max_draws, rng)
    by_topic = _filled(blank[0], psi(*binned(leanings.reference, leanings.new)), tested)
    half = replace(blank[1], num_reference=len(before) // 2)
    if why := _too_few(half, limits, f"{what} in half of it"):
        return by_topic, replace(blank[1], not_judged=why)
    nearest = novelty(vectors, len(before))
    tested = kolmogorov_smirnov(nearest.reference, nearest.new, max_draws, rng)
    index = psi(*binned(nearest.reference, nearest.new, LOW_TAIL))
    by_novelty = _filled(blank[1], index, tested)
    return by_topic, replace(by_novelty, test=f"{tested.test}, of likeness to the nearest")


def _different(
    reference: Sequence[str | None], new: Sequence[str | None], rng: Generator
) -> tuple[list[str], list[str]]:
    """Of each text one occurrence, drawn from both sides together and in random order.

    Drawn from each side apart, texts that come often would weigh less on the longer side.
    """
    forms = [normalized(text or "") for text in (*reference, *new)]
    taken = {""}
    sides: tuple[list[str], list[str]] = ([], [])
    for place in rng.permutation(len(forms)).tolist():
        if forms[place] not in taken:
            taken.add(forms[place])
            sides[place >= len(reference)].append(forms[place])
    return sides


def _too_few(column: ColumnDrift, limits: DriftSettings, what: str = "calls") -> str | None:
    for num_rows, side in ((column.num_new, "new"), (column.num_reference, "reference")):
        if num_rows < limits.min_rows:
            return f"{side}: {num_rows} {what}, at least {limits.min_rows} are needed"
    return None


def _one_value(is_none: bool, num_values: int) -> str | None:
    if is_none:
        return "no call has a value"
    return "the same value in every call" if num_values == 1 else None


def _filled(column: ColumnDrift, index: float, tested: Tested) -> ColumnDrift:
    return replace(
        column, psi=index, test=tested.test, statistic=tested.statistic, p_value=tested.p_value
    )
