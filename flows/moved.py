"""After the champion was moved: MLflow's aliases follow, and whoever is to hear of it is told.

Every one is told until a row of the audit says that it heard, so what was interrupted or was away
hears with the next `flywheel promote`; MLflow follows with the next recorded run, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flows.turn import hold
from tasks.errors import HeldError, StoreError
from tasks.model.alias import Alias
from tasks.model.audit import AuditRow
from tasks.releases.announce import COMMAND, SCHEMA, WEBHOOK, Heard, announce
from tasks.releases.promotion import MLFLOW, TOLD, UNTOLD, last_move, waiting
from tasks.run import utc_now
from tasks.settings import Settings
from tasks.store.control.aliases import promoted_releases
from tasks.store.control.audit import append, read_audit
from tasks.store.opening import open_store

#: a run that is at work holds the store for moments at a time
LOCK_TIMEOUT_S = 60.0


def tell_others(settings: Settings, by: str) -> list[Heard]:
    """Of the last move, those that have not heard of it yet. Nothing that goes wrong is raised: it
    stands in the audit."""
    with open_store(settings, read_only=True) as store:
        audit = read_audit(store)
    row = last_move(audit)
    subjects = waiting(audit, (MLFLOW, COMMAND, WEBHOOK))
    if row is None or not subjects:
        return []
    heard = list(_told(settings, row, tuple(subjects)))
    try:
        _keep(settings, by, row, heard)
    except StoreError as error:  # whoever heard hears once more, under the same key
        heard.append(Heard("the audit", error.line()))
    return heard


def _keep(settings: Settings, by: str, row: AuditRow, heard: list[Heard]) -> None:
    with (
        open_store(settings, lock_timeout_s=LOCK_TIMEOUT_S) as store,
        store.transaction(),
    ):
        for one in heard:
            append(
                store,
                by=by,
                action=UNTOLD if one.why else TOLD,
                subject=one.subject,
                details={"of": row.hash, **({"why": one.why} if one.why else {})},
                now=utc_now(),
            )


def _told(settings: Settings, row: AuditRow, subjects: tuple[str, ...]) -> Iterator[Heard]:
    yield from announce(settings, event_of(row), row.hash, subjects)
    if MLFLOW in subjects:
        yield Heard(MLFLOW, _bring_in_line(settings))


def event_of(row: AuditRow) -> dict[str, Any]:
    """What others are told of a move; keys are only added within one schema."""
    return {
        "schema": SCHEMA,
        "event": row.action,
        "at": row.at.isoformat() + "Z",
        "by": row.by,
        "seq": row.seq,
        "audit": row.hash,
        **row.told,
    }


def _bring_in_line(settings: Settings) -> str:
    """What went wrong; empty where MLflow's aliases are what the store's are. One at a time writes
    to MLflow from a state folder; a run that is at work moves them itself when it is recorded."""
    from tasks.tracking.aliases import bring_in_line

    with open_store(settings, read_only=True) as store:
        promoted = promoted_releases(store)
    try:
        with hold(settings):
            bring_in_line(settings, promoted)
    except StoreError as error:
        return error.line()
    return ""


def refuse_unmoved(before: Alias, now: Alias) -> HeldError:
    """Somebody was quicker."""
    return HeldError(
        "the champion was moved meanwhile, so this one is not",
        received=f"{now.release!r} ({now.digest[:12]}) since {now.since:%Y-%m-%d %H:%M:%S}",
        allowed=f"as it was looked at: {before.release!r} ({before.digest[:12]})",
        next="flywheel audit list, then the same command again",
    )
