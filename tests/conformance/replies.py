"""What a gate is asked for a case, and whether its replies are right; README.md beside this says
what each property means. Knows no gate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.conformance.reading import SHIPS, Case, Item, Question

#: of differences and interval ends; some gates print six digits
_TOLERANCE = 2e-6
#: of interval ends where the samples come in another order: what resampling may make of it
_RESAMPLED = 0.01


@dataclass(frozen=True, slots=True)
class Reply:
    """What a gate answered, in our words: `verdicts` are those its own word may mean.

    `cannot_express`: what of the question the gate has no place for. `has_margin` False: a gate
    that ships only what is better. What it does not tell is left out.
    """

    verdicts: frozenset[str] = frozenset()
    says: str = ""
    suites: Mapping[str, frozenset[str]] = field(default_factory=dict)
    differences: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    guardrails: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    is_refused: bool = False
    cannot_express: str = ""
    has_margin: bool = True

    @property
    def ships(self) -> bool:
        return bool(self.verdicts & SHIPS)


def questions(case: Case) -> dict[str, Question]:
    """What a gate must be asked to judge the case: the case itself and its variants, by name."""
    asked = {"base": case.question}
    if "swapped" in case.told or "swap" in case.properties:
        asked["swap"] = swapped(case.question)
    if "again" in case.properties:
        asked["again"] = case.question
    if "order" in case.properties:
        asked["order"] = replace(case.question, items=case.question.items[::-1])
    if "scale_weights" in case.properties:
        heavier = tuple(replace(item, weight=7 * item.weight) for item in case.question.items)
        asked["scale_weights"] = replace(case.question, items=heavier)
    if "raise" in case.properties:
        asked |= {f"raise {count}": raised(case.question, count) for count in _steps(case.question)}
    return asked


def swapped(question: Question) -> Question:
    items = (
        replace(
            item,
            champion=item.challenger,
            challenger=item.champion,
            used={name: both[::-1] for name, both in item.used.items()},
        )
        for item in question.items
    )
    return replace(question, items=tuple(items))


def raised(question: Question, count: int) -> Question:
    """The first `count` samples on which the challenger has no full score get one."""
    items = list(question.items)
    places = [place for place, item in enumerate(items) if _may_rise(item)]
    for place in places[:count]:
        full = tuple(1.0 for _ in items[place].challenger)
        items[place] = replace(items[place], challenger=full)
    return replace(question, items=tuple(items))


def failures(
    case: Case, replies: Mapping[str, Reply], others: Callable[[str], Reply] | None = None
) -> list[str]:
    """What is wrong with the replies to `questions(case)`, in words; nothing if all is right.
    `others` gives the reply to another case by its id."""
    base = replies["base"]
    if case.told.get("refused"):
        return [] if base.is_refused else [f"should be refused, is {base.says or base.verdicts}"]
    if base.is_refused:
        return [f"is refused: {base.says}"]
    wrong = []
    if not base.verdicts & case.verdicts:
        wrong.append(f"says {_words(base.verdicts)}, not {_words(case.verdicts)}")
    for name, allowed in case.told.get("suite_verdict", {}).items():
        if name in base.suites and not base.suites[name] & frozenset(allowed):
            wrong.append(f"says {_words(base.suites[name])} of {name}, not {_words(allowed)}")
    for name, value in case.told.get("difference", {}).items():
        told = base.differences.get(name)
        if told is not None and not _close(told, value):
            wrong.append(f"difference of {name} is {told:.6g}, not {value:.6g}")
    for name, allowed in case.told.get("guardrail_verdict", {}).items():
        if name in base.guardrails and not base.guardrails[name] & frozenset(allowed):
            wrong.append(f"says {_words(base.guardrails[name])} of {name}, not {_words(allowed)}")
    for name, value in case.told.get("ratio", {}).items():
        told = base.ratios.get(name)
        if told is not None and not _close(told, value):
            wrong.append(f"ratio of {name} is {told:.6g}, not {value:.6g}")
    for name in case.told.get("zero_inside", ()):
        if name in base.intervals:
            low, high = base.intervals[name]
            if low > 0 or high < 0:
                wrong.append(f"interval of {name}, {low:.4g} to {high:.4g}, leaves 0 out")
    if "swapped" in case.told and not replies["swap"].verdicts & frozenset(case.told["swapped"]):
        wrong.append(
            f"arms swapped: says {_words(replies['swap'].verdicts)}, "
            f"not {_words(case.told['swapped'])}"
        )
    if "swap" in case.properties:
        texts = _unlike(_mirrored(base), replies["swap"], tolerance=_RESAMPLED)
        wrong += [f"arms swapped: {text}" for text in texts]
    for name in ("again", "order", "scale_weights"):
        if name in case.properties:
            tolerance = _RESAMPLED if name == "order" else _TOLERANCE
            texts = _unlike(base, replies[name], verdict=True, tolerance=tolerance)
            wrong += [f"{name}: {text}" for text in texts]
    ships = base.ships
    for count in _steps(case.question) if "raise" in case.properties else ():
        raised_ships = replies[f"raise {count}"].ships
        if ships and not raised_ships:
            wrong.append(f"ships, and no longer with {count} more samples won")
        ships = raised_ships
    if "same_as" in case.told and others is not None:
        other = others(case.told["same_as"])
        texts = _unlike(other, base, verdict=True)
        wrong += [f"unlike {case.told['same_as']}: {text}" for text in texts]
    return wrong


def only_lacks_a_margin(case: Case, base: Reply, wrong: Sequence[str]) -> bool:
    """Whether all that is wrong is that a gate without a margin does not ship what is no worse."""
    return (
        not base.has_margin
        and not base.is_refused
        and not base.ships
        and "no_worse" in case.verdicts <= SHIPS
        and all("says " in text for text in wrong)
    )


def reply_of_json(value: Mapping[str, Any]) -> Reply:
    return Reply(
        verdicts=frozenset(value.get("verdicts", ())),
        says=value.get("says", ""),
        suites={name: frozenset(told) for name, told in value.get("suites", {}).items()},
        differences=value.get("differences", {}),
        intervals={name: (low, high) for name, (low, high) in value.get("intervals", {}).items()},
        guardrails={name: frozenset(told) for name, told in value.get("guardrails", {}).items()},
        ratios=value.get("ratios", {}),
        is_refused=value.get("refused", False),
        cannot_express=value.get("cannot_express", ""),
        has_margin=value.get("has_margin", True),
    )


def _may_rise(item: Item) -> bool:
    return all(isinstance(a, float) for a in item.challenger) and any(
        isinstance(a, float) and a < 1 for a in item.challenger
    )


def _steps(question: Question) -> list[int]:
    most = sum(_may_rise(item) for item in question.items)
    return sorted(
        {count for count in (1, 2, 3, 5, most // 4, most // 2, most) if 0 < count <= most}
    )


def _mirrored(reply: Reply) -> Reply:
    return replace(
        reply,
        differences={name: -value for name, value in reply.differences.items()},
        intervals={name: (-high, -low) for name, (low, high) in reply.intervals.items()},
    )


def _unlike(
    one: Reply, other: Reply, *, verdict: bool = False, tolerance: float = _TOLERANCE
) -> list[str]:
    texts = []
    if verdict and one.verdicts != other.verdicts:
        texts.append(f"says {_words(other.verdicts)} and {_words(one.verdicts)}")
    for name in one.differences.keys() & other.differences.keys():
        if not _close(one.differences[name], other.differences[name]):
            texts.append(
                f"difference of {name} is {other.differences[name]:.6g} "
                f"and {one.differences[name]:.6g}"
            )
    for name in one.intervals.keys() & other.intervals.keys():
        ends = zip(one.intervals[name], other.intervals[name], strict=True)
        if not all(_close(a, b, tolerance) for a, b in ends):
            texts.append(f"interval of {name} is {other.intervals[name]} and {one.intervals[name]}")
    return texts


def _close(one: float, other: float, tolerance: float = _TOLERANCE) -> bool:
    return one == other or math.isclose(one, other, rel_tol=0.0, abs_tol=tolerance)


def _words(verdicts: Sequence[str] | frozenset[str]) -> str:
    return " or ".join(sorted(verdicts)) or "nothing"
