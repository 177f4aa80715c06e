"""What a split says, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.model.explanation import Amount, Interaction, Part
from tasks.report.wording import interval, points, share

SAME_RELEASE = "both releases are the same: there is nothing to split"
NO_FLIP = "no sample changed its score: there is nothing to split"


def alone(part: str, difference: Amount) -> tuple[str, ...]:
    told = f"the releases differ in one part, so the whole difference is of {part}"
    return (f"{told}: {points(difference.value)} points",)


def sentences(
    parts: Sequence[Part], interactions: Sequence[Interaction], whole: Amount
) -> tuple[str, ...]:
    """Which parts make the difference, then what two of them do together."""
    made = sorted(
        (part for part in parts if _is_certain(part.amount)),
        key=lambda part: -abs(part.amount.value),
    )
    told = [f"{part.name} makes {points(part.amount.value)}{_of(part.share, whole)}"
            for part in made]  # fmt: skip
    if unsure := [part.name for part in parts if part not in made]:
        told.append(f"of {' and '.join(unsure)} it is not certain that it makes any")
    together = [_together(both, whole) for both in interactions if both.is_certain]
    none = "of no two parts is it certain that they do together what they do not do alone"
    return (*told, *(together or [none]))


def _together(both: Interaction, whole: Amount) -> str:
    first, second = both.parts
    amount = both.amount
    found = f"{points(amount.value)} points ({interval(amount.interval, signed=True)})"
    if amount.value * whole.value >= 0:
        return f"{first} and {second} only together: {found} of the {points(whole.value)}"
    return (
        f"{first} and {second} overlap: together {found} against the sum of what each makes alone"
    )


def _of(part: float | None, whole: Amount) -> str:
    return " points" if part is None else f" of the {points(whole.value)} points ({share(part)})"


def _is_certain(amount: Amount) -> bool:
    return amount.interval is not None and not amount.interval.low <= 0 <= amount.interval.high
