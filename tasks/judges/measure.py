"""What a judge is worth: from its opinions and what people said to a card. Pure.

Position: among prompts about a pair that are decided, how often the answer shown first wins.
Length: of decided pairs the share that the longer answer wins; of single answers the rank
correlation of length and score; both beside what people's labels show, for a longer answer may be a
better one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.judges.asked import Item
from tasks.judges.asking import Opinion
from tasks.judges.labels import Label
from tasks.judges.resolve import Judge
from tasks.model.judge import Agreed, JudgeCard, Rate
from tasks.settings import JudgeSettings
from tasks.statistics.agreement import agreement
from tasks.statistics.intervals import wilson_interval

_ALPHA = 0.05


def card(
    judge: Judge,
    judged: Sequence[tuple[Item, Opinion]],
    labels: Sequence[tuple[Label, Opinion]],
) -> JudgeCard:
    """`judged`: on the suite, `labels`: of people, each with what the judge said of it."""
    every = [*judged, *((label.item, opinion) for label, opinion in labels)]
    opinions = list(dict(every).values())
    flips = [one.is_flip for one in opinions if one.is_flip is not None]
    known = [(label, one.value) for label, one in labels if one.value is not None]
    people = agreed([label.value for label, _ in known], [value for _, value in known])
    longer = _longer_wins([(item, one.value) for item, one in every])
    prices = {member.release.price for member in judge.members}
    is_priced = all(price.is_known for price in prices)
    currencies = {price.currency for price in prices}
    found = JudgeCard(
        name=judge.name,
        kind=judge.kind,
        version=judge.version,
        models=tuple(dict.fromkeys(member.release.model for member in judge.members)),
        num_asked=sum(one.num_asked for one in opinions),
        num_unread=sum(one.num_unread for one in opinions),
        num_lost=sum(one.num_lost for one in opinions),
        flips=_rate(sum(flips), len(flips)),
        first_wins=_first_wins(opinions),
        longer_wins=longer,
        length_correlation=_correlation([(item, one.value) for item, one in every]),
        by_people={
            "longer_wins": _longer_wins([(one.item, one.value) for one, _ in labels]).share,
            "length_correlation": _correlation([(one.item, one.value) for one, _ in labels]),
        },
        num_labels=len(labels),
        people=people,
        input_tokens=sum(one.input_tokens for one in opinions),
        output_tokens=sum(one.output_tokens for one in opinions),
        cost=sum(one.cost for one in opinions) if is_priced and len(currencies) == 1 else None,
        currency=next(iter(currencies)) if is_priced and len(currencies) == 1 else "",
    )
    return found


def agreed(one: Sequence[float], other: Sequence[float]) -> Agreed:
    values = [np.array(part, dtype=np.float64) for part in (one, other)]
    found = agreement(values[0], values[1], _ALPHA)
    return Agreed(
        found.num_items, found.kappa, found.interval, found.accuracy, found.accuracy_interval
    )


def why_not(card: JudgeCard, settings: JudgeSettings) -> tuple[str, ...]:
    """What keeps a judge from deciding, by its own thresholds; nothing: it may decide."""
    told = []
    people = card.people
    if not card.num_labels:
        told.append("there is no label of people to hold it against")
    elif people.num_items < settings.min_labels:
        of = (
            "" if people.num_items == card.num_labels else f" of {card.num_labels}, that it judged,"
        )
        told.append(f"{people.num_items} labels of people{of} are fewer than {settings.min_labels}")
    elif people.kappa is None or people.kappa_interval is None:
        told.append("kappa is not defined: it or the people say always the same")
    elif people.kappa_interval.low < settings.min_kappa:
        low, high = people.kappa_interval.low, people.kappa_interval.high
        told.append(
            f"kappa with people is {people.kappa:.2f} [{low:.2f} to {high:.2f}] on "
            f"{people.num_items} labels, and its lower end must be {settings.min_kappa:g}"
        )
    if card.unread_ratio > settings.max_parse_failures:
        told.append(
            f"{card.unread_ratio:.1%} of its answers cannot be read, and "
            f"{settings.max_parse_failures:.1%} may"
        )
    if card.flips.share is not None and card.flips.share > settings.max_flip_rate:
        told.append(
            f"the order of the answers changes {card.flips.share:.1%} of its verdicts, and "
            f"{settings.max_flip_rate:.1%} may"
        )
    return tuple(told)


def self_preference(
    added: Mapping[str, Sequence[tuple[float, float]]], same_model: Sequence[str]
) -> float | None:
    """`added`: release → (judge's value, people's value) of its labelled answers. By how much more
    the judge adds for releases of its own model; None without labels on both sides."""
    own = [judge - people for role in same_model for judge, people in added.get(role, ())]
    others = [
        judge - people
        for role, values in added.items()
        if role not in same_model
        for judge, people in values
    ]
    return float(np.mean(own) - np.mean(others)) if own and others else None


def _rate(number: int, total: int) -> Rate:
    if not total:
        return Rate(None, 0)
    return Rate(number / total, total, wilson_interval(number, total, _ALPHA))


def _first_wins(opinions: Sequence[Opinion]) -> Rate:
    decided = [
        (value < 0.5) != (place == 1)
        for one in opinions
        if len(one.orders) == 2
        for place, value in enumerate(one.orders)
        if value is not None and value != 0.5
    ]
    return _rate(sum(decided), len(decided))


def _longer_wins(judged: Sequence[tuple[Item, float | None]]) -> Rate:
    decided = [
        (len(item.answers[1]) > len(item.answers[0])) == (value > 0.5)
        for item, value in judged
        if len(item.answers) == 2
        and value is not None
        and value != 0.5
        and len(item.answers[0]) != len(item.answers[1])
    ]
    return _rate(sum(decided), len(decided))


def _correlation(judged: Sequence[tuple[Item, float | None]]) -> float | None:
    """Spearman's, of single answers; None where one of both is always the same."""
    pairs = [
        (len(item.answers[0]), value)
        for item, value in judged
        if len(item.answers) == 1 and value is not None
    ]
    if len(pairs) < 3 or any(len(set(part)) < 2 for part in zip(*pairs, strict=True)):
        return None
    from scipy.stats import rankdata

    lengths, values = (rankdata(part) for part in zip(*pairs, strict=True))
    return float(np.corrcoef(lengths, values)[0, 1])
