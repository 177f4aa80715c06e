"""Making the challenger of a run the champion, whoever asks: a command, an answer to a night that
asked, an alias that was moved in MLflow.

What may be moved is decided in tasks/releases/promotion.py, inside the transaction that moves it: a
run may be at work, and another promotion, of which then one finds another champion than it was
judged against.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from flows.commands.decided import role_named
from flows.moved import LOCK_TIMEOUT_S
from flows.run_named import no_such_run
from flows.said import last_day, who
from tasks.errors import FlywheelError, UsageError
from tasks.model.audit import AuditRow
from tasks.model.release import Release
from tasks.model.reuse import PairVerdict
from tasks.model.run import RunRequest
from tasks.model.visible import one_line
from tasks.receipts.envelope import RefusedError
from tasks.receipts.files import add_approval, receipt_path
from tasks.receipts.reading import read_facts
from tasks.receipts.statement import moment
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.promotion import (
    CHAMPION,
    PREVIOUS,
    Decision,
    Judged,
    Move,
    Now,
    Override,
    decide,
)
from tasks.releases.resolve import resolve_release
from tasks.settings import CONFIG_NAME, Settings
from tasks.store import Store
from tasks.store.control import ledger, verdicts
from tasks.store.control.aliases import aliases_at, point, read_aliases
from tasks.store.control.audit import append, read_audit
from tasks.store.evals.releases import read_release
from tasks.store.opening import open_store, store_exists


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`how`: by which way somebody asked who did not type it: for the audit."""

    run_id: str
    challenger: str = ""
    override: str = ""
    expires: str = ""
    by: str = ""
    why: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True)
class Promoted:
    """`row` of the audit; None: held, or champion already. `notes`: what else is to be told."""

    judged: Judged
    decision: Decision
    row: AuditRow | None
    by: str
    notes: list[str]

    @property
    def held(self) -> str:
        """Why it was not promoted; empty where nothing stood against it."""
        return "; ".join(one_line(one.what) for one in self.decision.objections)


def promote_asked(settings: Settings, asked: Asked, at: datetime) -> Promoted:
    """Move the champion where the rules let it be moved. Whoever is to hear of it is told by the
    caller (flows/moved.py). Raises UsageError for what is no question, StoreError."""
    by = who(asked.by)
    override = _override(asked, at.date())
    judged = _judged(settings, asked)
    declared, began_with = _elsewhere(settings, judged)
    row = None
    with (
        open_store(settings, lock_timeout_s=LOCK_TIMEOUT_S) as store,
        store.transaction(),
    ):
        decision = decide(judged, _now(store, settings, declared, began_with), override, at)
        if decision.move is not None:
            said = {"why": asked.why, "how": asked.how}
            details = {**decision.move.details, **{k: v for k, v in said.items() if v}}
            row = make_move(store, replace(decision.move, details=details), by, at)
    is_unneeded = override is not None and "override" not in (row.told if row else {})
    notes = ["the override was not needed, and is not kept"] if is_unneeded else []
    if row is not None:
        notes += _approve(settings, judged, row)
    return Promoted(judged, decision, row, by, notes)


def would_be(settings: Settings, asked: Asked, at: datetime) -> tuple[Judged, Decision]:
    """What asking now would come to; nothing is moved."""
    judged = _judged(settings, asked)
    declared, began_with = _elsewhere(settings, judged)
    with open_store(settings, read_only=True) as store:
        return judged, decide(judged, _now(store, settings, declared, began_with), None, at)


def make_move(store: Store, move: Move, by: str, at: datetime) -> AuditRow:
    """Inside the caller's transaction."""
    point(store, filter(None, (move.champion, move.previous)))
    return append(
        store,
        by=by,
        action=move.action,
        subject=move.champion.release,
        details=move.details,
        now=at,
    )


def _elsewhere(settings: Settings, judged: Judged) -> tuple[Release | None, Release | None]:
    """What flywheel.toml declares under the challenger's name, and what life began with where
    nothing was promoted yet."""
    declared = began_with = None
    if judged.name in settings.releases:
        declared = _resolved(settings, judged.name)
    if CHAMPION not in aliases_at(settings):
        began_with = _began_with(settings)
    return declared, began_with


def _approve(settings: Settings, judged: Judged, row: AuditRow) -> list[str]:
    """The receipt of the verdict tells who promoted on it; what kept it from being told so."""
    run_id = judged.verdict.run_id
    if not receipt_path(settings.home_path, run_id).exists():
        return []
    approval = {
        "at": moment(row.at),
        "by": row.by,
        "release": row.subject,
        "digest": {"sha256": judged.verdict.challenger_digest},
        "audit": {"sha256": row.hash},
        **{name: row.told[name] for name in ("override", "why", "how") if name in row.told},
    }
    try:
        with open_store(settings, read_only=True) as store:
            facts = read_facts(store, run_id)
        add_approval(settings, facts, approval)
    except (FlywheelError, RefusedError) as error:
        return [f"the receipt does not tell of it: {one_line(str(error))}"]
    return []


def _override(asked: Asked, today: date) -> Override | None:
    if not (asked.override or asked.expires):
        return None
    if not asked.override.strip() or not asked.expires:
        raise UsageError(
            "an override has a reason and a last day",
            received="--override" if asked.override else "--expires",
            next="--override 'REASON' --expires 2027-03-01",
        )
    return Override(asked.override.strip(), last_day(asked.expires, today, "override"))


def _judged(settings: Settings, asked: Asked) -> Judged:
    if not store_exists(settings):
        raise no_such_run(asked.run_id)
    with open_store(settings, read_only=True) as store:
        found = ledger.find_run(store, asked.run_id)
        if found is None:
            raise no_such_run(asked.run_id)
        recorded = verdicts.read_verdicts(store, found)
        keys = ledger.run_keys(store, found)
        if not recorded or keys is None:
            raise UsageError(
                "the run has no verdict, so nothing says what may be promoted",
                received=found,
                next="flywheel gate, or without RUN for the last that has one",
            )
        request = RunRequest.from_json(ledger.run_value(store, found, "request") or "{}")
        role = role_named(request, recorded, asked.challenger, next="flywheel promote")
        digests = keys.release_digests["champion"], keys.release_digests[role]
        champion, challenger = (read_release(store, digest) for digest in digests)
    assert champion is not None, "a run keeps its releases before it asks them"
    assert challenger is not None
    decided = recorded[role]
    verdict = PairVerdict(found, decided.verdict, *digests, decided.decided_at)
    return Judged(verdict, request.releases[role], champion, challenger)


def _began_with(settings: Settings) -> Release:
    if not settings.champion:
        raise UsageError(
            "nobody has said which release is in production",
            received="nothing was promoted, and no champion is named",
            next=f'champion = "NAME" in {CONFIG_NAME}',
        )
    return _resolved(settings, settings.champion)


def _resolved(settings: Settings, name: str) -> Release:
    memory = Memory(settings.home_path / MEMORY_FILE)
    return resolve_release(name, settings, memory).record()


def _now(
    store: Store, settings: Settings, declared: Release | None, began_with: Release | None
) -> Now:
    aliases = read_aliases(store)
    champion, previous = (
        read_release(store, aliases[name].digest) if name in aliases else None
        for name in (CHAMPION, PREVIOUS)
    )
    champion = champion or began_with
    assert champion is not None, "what was promoted is kept, else it was looked for before"
    return Now(
        aliases=aliases,
        champion_name=aliases[CHAMPION].release if CHAMPION in aliases else settings.champion,
        champion=champion,
        previous=previous,
        declared=declared,
        verdicts=verdicts.pair_verdicts(store),
        audit=read_audit(store),
    )
