"""Models that their provider ends: which release it concerns, when, and who takes its place.

A release that names a `successor` has it judged by itself from `retirement_days` before the end of
its model on. Pure but for the file of known ends, which comes with the package.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

from tasks.settings import ReleaseSettings, Settings


@dataclass(frozen=True, slots=True)
class Retirement:
    """`on`: the first day on which the model answers no more. `successor`: a model, not a release;
    empty where the provider names none."""

    api: str
    model: str
    on: date
    successor: str
    source: str


@dataclass(frozen=True, slots=True)
class Due:
    """The model of `release` ends soon, or has. `successor`: a declared release, or empty."""

    release: str
    successor: str
    retirement: Retirement
    days: int

    @property
    def sentence(self) -> str:
        end, model = self.retirement, self.retirement.model
        when = f"in {self.days} days" if self.days > 0 else f"{-self.days} days ago"
        when = "today" if self.days == 0 else when.replace(" 1 days", " 1 day")
        said = f"its provider {'ends' if self.days >= 0 else 'ended'} {model} on {end.on}, {when}"
        if self.successor:
            return f"release {self.release}: {said}; its successor {self.successor} is judged"
        advice = f", such as one of {end.successor}" if end.successor else ""
        return (
            f"release {self.release}: {said}; name a release that takes its place{advice}: "
            f"releases.{self.release}.successor"
        )


def retirement_of(declared: ReleaseSettings, calendar: Sequence[Retirement]) -> Retirement | None:
    """The first entry for what a release asks an API for; none of a model that runs here, or that
    somebody else serves under that name."""
    if not declared.api or declared.base_url:
        return None
    wanted = declared.api, declared.model
    return next((entry for entry in calendar if (entry.api, entry.model) == wanted), None)


def calendar_of(settings: Settings) -> tuple[Retirement, ...]:
    """The entries of flywheel.toml, then those that are known."""
    own = (
        Retirement(entry.api, entry.model, entry.retires_on, entry.successor, entry.source)
        for entry in settings.calendar
    )
    return (*own, *_known())


def due(settings: Settings, release: str, today: date) -> Due | None:
    """Where the model of a declared release ends within the days that are asked for."""
    declared = settings.releases.get(release)
    found = None if declared is None else retirement_of(declared, calendar_of(settings))
    if declared is None or found is None:
        return None
    days = (found.on - today).days
    return (
        Due(release, declared.successor, found, days) if days <= settings.retirement_days else None
    )


@cache
def _known() -> tuple[Retirement, ...]:
    text = files("tasks.releases").joinpath("retirements.toml").read_text(encoding="utf-8")
    return tuple(
        Retirement(
            entry["api"], model, entry["retires_on"], entry.get("successor", ""), entry["source"]
        )
        for entry in tomllib.loads(text)["model"]
        for model in entry["models"]
    )
