"""What every importer makes of a file: lines of a suite, each with the scorer that judges it, and
what of the file has no equivalent here. Nothing is dropped without being named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.curate.modes import GENERATE, Mode
from tasks.model.canonical import canonical_json

_MAX_PLACES = 3
_FINAL_NUMBER = re.compile(r"####\s*(-?[\d,.]*\d)\s*$")
#: as `[suites.NAME] scorer` has it: a name, or a table of name and parameters
ScorerValue = str | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a suite, apart from its file. `where`: file and line, or file and place. `scorer`:
    empty where the file does not say how answers are judged. `is_judged`: only a model can.
    `mode`: how it is asked. `also`: more scorers, that inform."""

    where: str
    line: Mapping[str, Any]
    scorer: ScorerValue = ""
    is_judged: bool = False
    mode: Mode = GENERATE
    also: tuple[ScorerValue, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What has no equivalent here, and where it stood."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, where: str) -> None:
        self.places.setdefault(what, []).append(where)

    def sentences(self) -> Iterator[str]:
        for what, places in self.places.items():
            shown = ", ".join(dict.fromkeys(places[:_MAX_PLACES]))
            more = f" and {len(places) - _MAX_PLACES:,} more" if len(places) > _MAX_PLACES else ""
            yield f"{what} ({len(places):,}: {shown}{more})"


@dataclass(frozen=True, slots=True)
class Imported:
    """`name`: how the file calls the suite. `notes`: what to know of the suite, a sentence each."""

    format: str
    name: str
    source: str
    items: tuple[Item, ...]
    left_out: LeftOut
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapped:
    """What was said about columns; empty: they are known by their names."""

    input: str = ""
    target: str = ""
    choices: str = ""
    slices: tuple[str, ...] = ()
    split: str = ""
    scorer: str = ""


def final_number(target: Any) -> str | None:
    """Of a target as GSM8K has it (the reasoning, then #### and the number) the number."""
    found = _FINAL_NUMBER.search(target) if isinstance(target, str) else None
    return None if found is None else found[1].replace(",", "")


def with_numbers(items: Sequence[Item]) -> list[Item]:
    """Where no scorer is said and every target ends so, the numbers for `numeric`."""
    numbers = [final_number(item.line.get("target")) for item in items]
    if None in numbers or any(item.scorer for item in items):
        return list(items)
    return [
        Item(item.where, {**item.line, "target": number}, "numeric")
        for item, number in zip(items, numbers, strict=True)
    ]


def scorer_key(scorer: ScorerValue) -> str:
    return canonical_json(scorer)


def scorer_name(scorer: ScorerValue) -> str:
    """What a scorer is called, for the name of a file."""
    if isinstance(scorer, str):
        return scorer or "unscored"
    return str(scorer.get("name") or next(iter(scorer), "scorer"))


def joined(target: Any) -> Any:
    """A target as a line has it: several right answers stand one a line."""
    if isinstance(target, list) and target and all(isinstance(one, str | int | float | bool)
                                                   for one in target):  # fmt: skip
        return "\n".join(str(one) for one in target)
    return None if target == [] else target
