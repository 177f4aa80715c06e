"""Which nights are due. Prefect does not run what it missed, so a night goes by its data's day.

A night is the end of a day in UTC. It takes in what stands in the logs up to then and was not taken
in before, so calls that come late are in the next one, and it is curated as if nothing had come in
since. A night that was missed is turned when the next one is, in order, once; one that was turned
is not turned again. A clock that jumps doubles nothing: what counts is which night was turned last.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta

from tasks.model.run import RunRequest
from tasks.settings import Settings
from tasks.store.control import ledger
from tasks.store.opening import open_store, store_exists

#: of a machine that was off for months: of the older nights no verdict is made, and no call is lost
MAX_MISSED = 14
_DAY = timedelta(days=1)


def nights_due(settings: Settings, request: RunRequest, now: datetime) -> list[RunRequest]:
    """A request for each, the oldest first; none where the last that is over was turned. One that
    names a window of its own is itself. `now` in UTC without a zone."""
    if request.since or request.until:
        return [request]
    over = datetime.combine(now.date(), time())
    last = _last_turned(settings, over)
    first = over if last is None else max(last + _DAY, over - (MAX_MISSED - 1) * _DAY)
    return [
        replace(request, until=(first + number * _DAY).isoformat())
        for number in range((over - first).days + 1)
    ]


def _last_turned(settings: Settings, until: datetime) -> datetime | None:
    """The newest night up to then, as its day began or ended: midnight."""
    if not store_exists(settings):
        return None
    with open_store(settings, read_only=True) as store:
        ended = ledger.last_decided_until(store, until)
    return None if ended is None else datetime.combine(ended.date(), time())
