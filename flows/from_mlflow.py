"""Somebody moved the alias `champion` in MLflow: a request to promote that version, held against
the same rules as `flywheel promote`.

It is promoted, or the alias is moved back and the version says why. Looked at by `flywheel promote
--from-mlflow`, by every deployed flow where `[promotion] approval = "mlflow"`, and when MLflow's
webhook says that an alias was moved. An alias that has not yet followed the store's is no request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from flows.moved import LOCK_TIMEOUT_S
from flows.promoting import Asked, Promoted, promote_asked
from flows.turn import hold
from tasks.errors import UsageError
from tasks.model.run import RunRequest
from tasks.releases.approval import REFUSE
from tasks.releases.promotion import CHAMPION, MLFLOW, waiting
from tasks.settings import Settings
from tasks.store.control import ledger, verdicts
from tasks.store.control.aliases import promoted_releases, read_aliases
from tasks.store.control.audit import append, read_audit
from tasks.store.opening import open_store, store_exists

if TYPE_CHECKING:
    from tasks.tracking.aliases import Pointed

#: for a run that is about to end; one that takes longer is asked again later
_WAIT_S = 30.0
_HOW = "the alias champion in MLflow"


@dataclass(frozen=True, slots=True)
class Refused:
    """`release`: what the alias was moved to, by name or as a version. `why`: every reason."""

    release: str
    why: str


def promote_from_mlflow(settings: Settings, by: str, at: datetime) -> Promoted | Refused | None:
    """None: nobody asks for anything. Raises StoreError where MLflow is away, or a run at work
    keeps the alias from being moved back. Whoever is to hear of a promotion the caller tells."""
    if not store_exists(settings):
        return None
    with open_store(settings, read_only=True) as store:
        champion = read_aliases(store).get(CHAMPION)
        is_behind = bool(waiting(read_audit(store), [MLFLOW]))
    if is_behind:
        return None
    from tasks.tracking.aliases import pointed_at

    wanted = pointed_at(settings, CHAMPION)
    if wanted is None or wanted.digest == (champion and champion.digest):
        return None
    if champion is None and wanted.release == settings.champion:
        return None  # what life began with
    refused = Refused(wanted.release or f"version {wanted.version}", "no run has judged it")
    asked = _asked(settings, wanted.digest, by)
    if asked is not None:
        try:
            done = promote_asked(settings, asked, at)
        except UsageError as error:
            refused = replace(refused, why=error.what)
        else:
            if not done.held:
                return done
            refused = replace(refused, why=done.held)
    _move_back(settings, wanted, refused, by, at)
    return refused


def _asked(settings: Settings, digest: str, by: str) -> Asked | None:
    """By the newest verdict on the release; None where there is none."""
    with open_store(settings, read_only=True) as store:
        on_it = [one for one in verdicts.pair_verdicts(store) if one.challenger_digest == digest]
        if not on_it:
            return None
        run_id = on_it[-1].run_id
        request = RunRequest.from_json(ledger.run_value(store, run_id, "request") or "{}")
        keys = ledger.run_keys(store, run_id)
    assert keys is not None, "a verdict is on releases that are known"
    role = next(role for role, known in keys.release_digests.items() if known == digest)
    return Asked(run_id=run_id, challenger=request.releases[role], by=by, how=_HOW)


def _move_back(
    settings: Settings, wanted: Pointed, refused: Refused, by: str, at: datetime
) -> None:
    from tasks.tracking.aliases import refuse

    with hold(settings, wait_s=_WAIT_S):  # one at a time writes to MLflow
        with open_store(settings, read_only=True) as store:
            promoted = promoted_releases(store)
        refuse(settings, wanted, promoted, refused.why)
    with (
        open_store(settings, lock_timeout_s=LOCK_TIMEOUT_S) as store,
        store.transaction(),
    ):
        details = {"why": refused.why, "how": _HOW, "version": wanted.version}
        append(store, by=by, action=REFUSE, subject=refused.release, details=details, now=at)
