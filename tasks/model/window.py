"""A stretch of time that calls must have started in: [since, until), UTC without a zone. Pure.

Written as an ISO 8601 date or time (a zone is honoured, none means UTC; a date is its midnight)
or as an age: 90m, 24h, 7d or 2w before the run began.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from tasks.errors import UsageError

ALLOWED = "a date, a time, or an age: 2026-11-01, 2026-11-01T06:00+01:00, 24h, 7d"

_AGE = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: what the store can tell apart
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """None: no bound on that side."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.since is None and self.until is None

    def holds(self, moment: datetime) -> bool:
        return (self.since is None or moment >= self.since) and (
            self.until is None or moment < self.until
        )

    def to_json(self) -> dict[str, str | None]:
        return {"since": _text(self.since), "until": _text(self.until)}

    def days(self) -> list[Window]:
        """The window cut at midnights, for one that is bounded on both sides."""
        assert self.since is not None
        assert self.until is not None
        found = []
        start = self.since
        while start < self.until:
            midnight = datetime.combine(start.date() + timedelta(days=1), time())
            found.append(Window(start, min(midnight, self.until)))
            start = midnight
        return found


#: no bound on either side
OPEN = Window()


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"


def window(since: str, until: str, now: datetime) -> Window:
    """What two texts mean, "" being no bound; `now`: what ages count back from, in UTC.

    Raises UsageError for a text that is no time, and where no moment lies between the two.
    """
    now = now.replace(microsecond=0)
    found = Window(_bound("since", since, now), _bound("until", until, now))
    if found.since is not None and found.until is not None and found.since >= found.until:
        raise UsageError(
            "no moment lies between --since and --until",
            received=f"--since {since} --until {until}",
            allowed="since before until; the moment until itself is outside",
            next=f"for that day alone: {_example(found.since)}",
        )
    return found


def parse_moment(text: str, now: datetime) -> datetime:
    """Raises ValueError."""
    text = text.strip()
    try:
        if age := _AGE.fullmatch(text):
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(f"{text!r} is outside the years 1 to 9999") from None


def _bound(name: str, text: str, now: datetime) -> datetime | None:
    if not text:
        return None
    try:
        return parse_moment(text, now)
    except ValueError:
        raise UsageError(
            f"--{name} is no time",
            received=text,
            allowed=ALLOWED,
            next=f"for example --{name} {now - timedelta(days=7):%Y-%m-%d}, or --{name} 7d",
        ) from None


def _example(since: datetime) -> str:
    day = since.date()
    return f"--since {day} --until {day + timedelta(days=1)}"


def covered(wanted: Window, first: datetime | None, last: datetime | None,
            windows: Sequence[Window]) -> bool:  # fmt: skip
    """Whether calls from `first` to `last`, both included, that `wanted` asks for lie in `windows`.

    `first` None: there are no calls with a time.
    """
    if first is None or last is None or any(each.is_open for each in windows):
        return True
    reached = first if wanted.since is None else max(first, wanted.since)
    end = last + _TICK if wanted.until is None else min(last + _TICK, wanted.until)
    for each in sorted(windows, key=lambda each: each.since or first):
        if each.since is None or each.since <= reached:
            reached = max(reached, end if each.until is None else each.until)
    return reached >= end
