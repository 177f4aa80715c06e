"""Item statistics: which samples tell releases apart, which disagree with themselves, and on which
the better releases do worse.

Owns the estimators of classical test theory that a person keeps an eval set healthy by; knows
nothing of suites' rules, of stores or of texts. A sample on which all agree is not useless: it
narrows the interval of a difference like any other. Pure numpy, scipy for tails (imported late).
Sources: Lord & Novick, "Statistical Theories of Mental Test Scores" (1968) for the correlation of
an item with the rest; Fisher, "The Design of Experiments" (1935) for the permutations that bound
its p value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.statistics.families import false_discovery

Values = NDArray[np.float64]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: "all right" or "all wrong" is said of an item from so many releases or so many answers on
ENOUGH_RELEASES, ENOUGH_ANSWERS = 3, 5
#: fewer points make no correlation
FEWEST_CORRELATED = 5
#: a release takes part in a group's correlations where this share of its items is known of it
_MOSTLY = 0.9
#: of the items called negatively discriminating, at most this share is false on average
FALSE_DISCOVERY = 0.05


@dataclass(frozen=True, slots=True)
class ScoredAnswers:
    """Answers with a known score, one a place.

    item, build, release, seed: [num_answers] int64, all from 0 but the seed. A build is what gives
    the same answer under the same seed; a release may have several (another machine, another
    engine), which are one voice here. value: [num_answers] float64 in [0, 1].
    is_sampled: [num_releases] bool, whether another seed may give another answer.
    group: [num_items] int64; an item's rest are the other items of its group.
    """

    item: Numbers
    build: Numbers
    release: Numbers
    seed: Numbers
    value: Values
    is_sampled: Flags
    group: Numbers


@dataclass(frozen=True, slots=True)
class ItemStatistics:
    """Of every item, [num_items] each; scores: [num_items, num_releases] float64.

    scores: the mean of a release's answers, NaN without any. num_answers: those that could have
    differed; a release that does not sample has one, whatever the seeds. is_repeated: some build
    answered it under two seeds or more; is_flaky: and disagreed with itself; noise: the mean
    variance of a build's answers, NaN where none is repeated. is_enough: so many releases or
    answers that "all right" and "all wrong" may be said. differs: the releases' means do.
    correlation: with the rest, NaN where it is not tested; adjusted_p: one-sided, of "not below 0",
    corrected for all items tested.
    """

    scores: Values
    num_releases: Numbers
    num_answers: Numbers
    is_enough: Flags
    is_always_right: Flags
    is_always_wrong: Flags
    differs: Flags
    is_repeated: Flags
    is_flaky: Flags
    noise: Values
    correlation: Values
    adjusted_p: Values

    @property
    def is_negative(self) -> Flags:
        """Where it is certain that better releases do worse."""
        return np.asarray(self.adjusted_p <= FALSE_DISCOVERY)  # false for NaN


def item_statistics(answers: ScoredAnswers) -> ItemStatistics:
    """All of them at once. An item without a known answer has no flag but the absence of all."""
    num_items, num_releases = len(answers.group), len(answers.is_sampled)
    scores = _means(answers.item, answers.release, answers.value, (num_items, num_releases))
    seed = np.where(answers.is_sampled[answers.release], answers.seed, 0)
    distinct = np.unique(np.stack([answers.item, answers.release, seed]), axis=1)
    num_answers = np.bincount(distinct[0], minlength=num_items)
    known = ~np.isnan(scores)
    releases = known.sum(axis=1)
    is_enough = (releases >= ENOUGH_RELEASES) | (num_answers >= ENOUGH_ANSWERS)
    lowest, highest = _extremes(answers.item, answers.value, num_items)
    row_low = np.where(known, scores, np.inf).min(axis=1, initial=np.inf)
    row_high = np.where(known, scores, -np.inf).max(axis=1, initial=-np.inf)
    is_repeated, is_flaky, noise = _repeats(answers, num_items)
    correlation, p_value = _discrimination(scores, answers.group)
    adjusted = np.full(num_items, np.nan)
    tested = ~np.isnan(p_value)
    if tested.any():
        adjusted[tested] = false_discovery(p_value[tested].tolist())
    return ItemStatistics(
        scores=scores,
        num_releases=releases,
        num_answers=num_answers,
        is_enough=is_enough,
        is_always_right=is_enough & (lowest == 1),
        is_always_wrong=is_enough & (highest == 0),
        differs=row_high > row_low,
        is_repeated=is_repeated,
        is_flaky=is_flaky,
        noise=noise,
        correlation=correlation,
        adjusted_p=adjusted,
    )


def item_rest_correlation(scores: Values) -> tuple[Values, Values]:
    """Of items [num_items, num_releases] with NaN where a score is not known: the correlation over
    releases of an item's score with the mean of all other items, and its one-sided p value.

    Estimator: Pearson's r with the mean over the other items of (score - the item's mean), which
    for complete scores is r with the rest's mean, and does not take who answered only easy items
    for able. Releases of which less than 9 in 10 items are known take no part; NaN below five
    releases, or where one of the two does not vary. p: Student's t with n - 2 degrees of freedom,
    but never less than 1 / the number of different orders the item's scores could have over the
    releases, which no exact test falls below: with 5 releases, one right, no p is below 1/5.
    Assumes that releases are independent of each other; those that share a model are less so.
    """
    from scipy.special import gammaln, stdtr

    num_items, num_releases = scores.shape
    correlation, p_value = np.full(num_items, np.nan), np.full(num_items, np.nan)
    known = ~np.isnan(scores)
    known &= known.sum(axis=0) >= _MOSTLY * num_items
    counts = known.sum(axis=1)
    if num_items < 2 or num_releases < FEWEST_CORRELATED:
        return correlation, p_value
    some = np.maximum(counts, 1)[:, None]
    deviation = np.where(known, scores, 0.0)
    deviation = np.where(known, deviation - deviation.sum(axis=1, keepdims=True) / some, 0.0)
    others = known.sum(axis=0) - known
    rest = (deviation.sum(axis=0) - deviation) / np.maximum(others, 1)
    rest = np.where(known, rest - (rest * known).sum(axis=1, keepdims=True) / some, 0.0)
    item_square, rest_square = (deviation**2).sum(axis=1), (rest**2).sum(axis=1)
    tested = (counts >= FEWEST_CORRELATED) & (item_square > 1e-12) & (rest_square > 1e-12)
    product = (deviation * rest).sum(axis=1)[tested]
    r = np.clip(product / np.sqrt(item_square * rest_square)[tested], -1.0, 1.0)
    freedom = counts[tested] - 2
    with np.errstate(divide="ignore"):
        t = r * np.sqrt(freedom / (1 - r**2))
    ordered = np.sort(np.where(known, scores, np.nan)[tested], axis=1)
    place, log_orders = np.ones(len(ordered)), gammaln(counts[tested] + 1.0)
    for column in range(1, num_releases):  # a run of c equal scores takes log c! off
        place = np.where(ordered[:, column] == ordered[:, column - 1], place + 1, 1.0)
        log_orders = log_orders - np.log(place)
    correlation[tested] = r
    p_value[tested] = np.maximum(stdtr(freedom, t), np.exp(-log_orders))
    return correlation, p_value


def _discrimination(scores: Values, group: Numbers) -> tuple[Values, Values]:
    correlation, p_value = np.full(len(group), np.nan), np.full(len(group), np.nan)
    for one in np.unique(group):
        rows = np.flatnonzero(group == one)
        correlation[rows], p_value[rows] = item_rest_correlation(scores[rows])
    return correlation, p_value


def _means(rows: Numbers, columns: Numbers, values: Values, shape: tuple[int, int]) -> Values:
    """[shape] means, NaN where there is no value; equal means are equal to the bit."""
    place = rows * shape[1] + columns
    size = shape[0] * shape[1]
    counts = np.bincount(place, minlength=size)
    sums = np.bincount(place, weights=values, minlength=size)
    means: Values = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).reshape(shape)
    return np.asarray(np.round(means, 12), dtype=np.float64)


def _extremes(rows: Numbers, values: Values, size: int) -> tuple[Values, Values]:
    """The least and the most of each row; inf and -inf of none."""
    lowest, highest = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(lowest, rows, values)
    np.maximum.at(highest, rows, values)
    return lowest, highest


def _repeats(answers: ScoredAnswers, num_items: int) -> tuple[Flags, Flags, Values]:
    """Whether a build answered an item twice, whether differently, and the mean variance."""
    num_builds = int(answers.build.max(initial=-1)) + 1
    place = answers.item * num_builds + answers.build
    size = num_items * num_builds
    lowest, highest = _extremes(place, answers.value, size)
    counts = np.bincount(place, minlength=size)
    means = np.bincount(place, weights=answers.value, minlength=size) / np.maximum(counts, 1)
    squares = np.bincount(place, weights=(answers.value - means[place]) ** 2, minlength=size)
    shape = (num_items, num_builds)
    repeated = (counts >= 2).reshape(shape)
    varying = ((counts >= 2) & (highest > lowest)).reshape(shape)
    variance = np.where(repeated, (squares / np.maximum(counts - 1, 1)).reshape(shape), 0.0)
    num_repeated = repeated.sum(axis=1)
    noise = np.where(num_repeated > 0, variance.sum(axis=1) / np.maximum(num_repeated, 1), np.nan)
    return np.asarray(repeated.any(axis=1)), np.asarray(varying.any(axis=1)), noise
