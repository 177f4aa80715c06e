"""What people are told when nobody looks, and how it reaches them: by apprise.

Addresses hold passwords, so they come from the environment, never from flywheel.toml. Nothing that
cannot be sent stops a turn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.commands.ui import server_elsewhere
from flows.summary import verdict_line
from flows.turn import Outcome
from tasks.errors import DataError, FlywheelError
from tasks.model.history import History
from tasks.model.visible import one_line
from tasks.report.wording import since
from tasks.settings import Settings
from tasks.settings.notices import NoticeKind
from tasks.store.control.history import read_history
from tasks.store.opening import open_store

#: so many nights in a row without an answer are no chance any more
UNDECIDED_NIGHTS = 3
_MAX_REASONS = 5


@dataclass(frozen=True, slots=True)
class Notice:
    """Plain text on some lines; `kind` is what it is sent for."""

    kind: NoticeKind
    title: str
    lines: tuple[str, ...]


def of_outcome(outcome: Outcome, history: History) -> list[Notice]:
    """What of a turn is worth waking somebody. `history` has the turn in it."""
    found = []
    if outcome.decided is not None:
        leading = outcome.releases[next(iter(outcome.verdicts))]
        compared = f"{leading} against {outcome.releases['champion']}: "
        title, reasons = (
            f"{compared}{verdict_line(outcome)}",
            outcome.decided.reasons[:_MAX_REASONS],
        )
        newest = [run.verdict for run in history.decided[-UNDECIDED_NIGHTS:]]
        if outcome.verdict in ("worse", "blocked"):
            found.append(Notice("worse", title, reasons))
        elif outcome.may_ship:
            found.append(Notice("ships", title, reasons))
        elif newest == ["cannot_tell"] * UNDECIDED_NIGHTS:
            undecided = f"{compared}cannot tell, {UNDECIDED_NIGHTS} times in a row"
            found.append(Notice("undecided", undecided, reasons))
    if outcome.unrecorded:
        why = (outcome.unrecorded, "flywheel record, once it is back; the next night tries, too")
        found.append(Notice("error", "the verdict is kept, and not in MLflow", why))
    (run,) = [run for run in history.runs if run.run_id == outcome.run_id] or (None,)
    if run is not None and run.intake is not None and run.intake.drifted:
        columns = ", ".join(run.intake.drifted)
        found.append(Notice("drift", f"the logs have changed: {columns}", ("flywheel drift",)))
    return found


def of_error(error: Exception) -> Notice:
    said = error.line() if isinstance(error, FlywheelError) else f"{type(error).__name__}: {error}"
    kind: NoticeKind = "data" if isinstance(error, DataError) else "error"
    what = "the data failed validation" if kind == "data" else "the turn failed"
    return Notice(kind, what, (one_line(said),))


def of_silence(history: History, now: datetime) -> Notice | None:
    """Where there is no verdict of today. `now` in UTC without a zone."""
    last = history.last
    if last is not None and last.decided_at is not None and last.decided_at.date() == now.date():
        return None
    known = "never" if last is None or last.decided_at is None else since(last.decided_at, now)
    return Notice("late", f"no verdict by {now:%H:%M} UTC", (f"the last one: {known}",))


def tell(settings: Settings, notices: Sequence[Notice], link: str = "") -> list[str]:
    """Send those that are asked for; the titles of what was sent. `link`: a page of it that opens
    on another machine. What cannot be sent is said on standard error."""
    wanted = [notice for notice in notices if notice.kind in settings.notify.on]
    addresses = os.environ.get(settings.notify.urls_env, "").split()
    if not wanted or not addresses:
        return []
    import apprise

    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="flywheel", async_mode=False))
    for number, address in enumerate(addresses, 1):
        if not sender.add(address):
            _say(f"address {number} of {settings.notify.urls_env} is none that apprise knows")
    sent = []
    for notice in wanted:
        body = "\n".join([*notice.lines, *filter(None, [link or page_elsewhere(settings)])])
        if sender.notify(title=f"flywheel: {notice.title}", body=body or notice.title):
            sent.append(notice.title)
        else:
            _say(f"not everybody could be told: {notice.title}")
    return sent


def newest(settings: Settings, num_runs: int = 10) -> History:
    with open_store(settings, read_only=True) as store:
        return read_history(store, num_runs)


def page_elsewhere(settings: Settings) -> str:
    """An address that others can open; empty where there is none."""
    return settings.notify.link or server_elsewhere(settings) or ""


def _say(line: str) -> None:
    print(one_line(f"flywheel: {line}"), file=sys.stderr, flush=True)
