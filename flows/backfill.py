"""`--backfill`: one turn a day of the window, the oldest first, in UTC.

A day whose turn has ended well is not turned again, so a backfill that was killed or stopped goes
on where it was when the same command is given again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time

from flows.turn import Outcome, outcome
from tasks.errors import UsageError
from tasks.model.run import RunRequest
from tasks.model.window import window
from tasks.settings import Settings
from tasks.store.control import ledger
from tasks.store.opening import open_store


def by_day(request: RunRequest, now: datetime) -> list[RunRequest]:
    """A request for each day; the first and the last may be parts of one.

    Raises UsageError without a beginning, and for an end that is not over: a day that is turned
    once is not turned again, whatever comes in later.
    """
    asked = f"--since {request.since or '(none)'} --until {request.until or '(none)'}"
    if not request.since:
        raise UsageError(
            "a backfill needs its first day",
            received=asked,
            next="flywheel ingest --backfill --since 2026-11-01 --until 2026-11-08",
        )
    today = datetime.combine(now.date(), time())
    wanted = window(request.since, request.until or today.isoformat(), now)
    if wanted.until is None or wanted.until > now:
        raise UsageError(
            "a backfill ends in the past",
            received=asked,
            allowed=f"--until {today.date()} or earlier",
            next="without --backfill, the rest of today is taken in as it comes",
        )
    bounds = [day.to_json() for day in wanted.days()]
    return [replace(request, since=day["since"] or "", until=day["until"] or "") for day in bounds]


def finished(settings: Settings, request: RunRequest) -> Outcome | None:
    """What the request came to, where it was turned before and that ended well."""
    with open_store(settings) as store:
        run_id = ledger.find_completed(store, request.digest(settings.digest))
        return None if run_id is None else outcome(store, run_id)
