"""`flywheel promote` and `flywheel rollback`: the one way to move the champion.

What may be moved is decided in tasks/releases/promotion.py, inside the transaction that moves it: a
run may be at work, and another promotion, of which then one finds another champion than it was
judged against.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from flows.commands.decided import role_named
from flows.commands.turn import no_such_run
from flows.moved import LOCK_TIMEOUT_S, refuse_unmoved, tell_others
from flows.said import last_day, who
from flows.terminal import print_json
from tasks.champion import champion_cautions
from tasks.errors import FlywheelError, UsageError
from tasks.model.alias import Alias
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
    Objection,
    Override,
    decide,
    rolled_back,
)
from tasks.releases.resolve import resolve_release
from tasks.report.wording import label
from tasks.run import utc_now
from tasks.settings import CONFIG_NAME, Settings, read_settings
from tasks.store import Store
from tasks.store.control import ledger, verdicts
from tasks.store.control.aliases import aliases_at, point, read_aliases
from tasks.store.control.audit import append, read_audit
from tasks.store.evals.releases import read_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    run_id: str
    challenger: str
    override: str
    expires: str
    by: str


def promote(asked: Asked, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    at = utc_now()
    by = who(asked.by)
    override = _override(asked, at.date())
    judged = _judged(settings, asked)
    declared = None
    if judged.name in settings.releases:
        declared = _resolved(settings, judged.name)
    began_with = None
    if CHAMPION not in aliases_at(settings.store_path):
        began_with = _began_with(settings)
    row = None
    with (
        Store.open(settings.store_path, lock_timeout_s=LOCK_TIMEOUT_S) as store,
        store.transaction(),
    ):
        now = _now(store, settings, declared, began_with)
        decision = decide(judged, now, override, at)
        if decision.move is not None:
            row = _move(store, decision.move, by, at)
    if decision.objections:
        return _hold(judged, decision, as_json=as_json)
    unneeded = override is not None and "override" not in (row.told if row else {})
    notes = ["the override was not needed, and is not kept"] if unneeded else []
    if row is not None:
        notes += _approve(settings, judged, row)
    return _tell(settings, by, row, judged.name, notes, as_json=as_json)


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
        **({"override": row.told["override"]} if "override" in row.told else {}),
    }
    try:
        with Store.open(settings.store_path, read_only=True) as store:
            facts = read_facts(store, run_id)
        add_approval(settings, facts, approval)
    except (FlywheelError, RefusedError) as error:
        return [f"the receipt does not tell of it: {one_line(str(error))}"]
    return []


def rollback(*, why: str, by: str, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    at = utc_now()
    by = who(by)
    before = aliases_at(settings.store_path)
    rolled_back(before, at, why)  # refused before anything is opened for writing
    with (
        Store.open(settings.store_path, lock_timeout_s=LOCK_TIMEOUT_S) as store,
        store.transaction(),
    ):
        aliases = read_aliases(store)
        if aliases != before:
            raise refuse_unmoved(before[CHAMPION], aliases[CHAMPION])
        move = rolled_back(aliases, at, why)
        row = _move(store, move, by, at)
    return _tell(settings, by, row, move.champion.release, [], as_json=as_json)


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
    if not settings.store_path.exists():
        raise no_such_run(asked.run_id)
    with Store.open(settings.store_path, read_only=True) as store:
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


def _move(store: Store, move: Move, by: str, at: datetime) -> AuditRow:
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


def _hold(judged: Judged, decision: Decision, *, as_json: bool) -> int:
    if as_json:
        reasons = [_objection(one) for one in decision.objections]
        verdict = judged.verdict
        print_json(
            {
                "moved": False, "release": judged.name, "digest": verdict.challenger_digest,
                "run_id": verdict.run_id, "verdict": verdict.verdict, "reasons": reasons,
            }
        )  # fmt: skip
        return 1
    print(one_line(f"held: {judged.name} is not promoted"))
    for one in decision.objections:
        print(f"  · {one_line(one.what)}")
        print(f"    next: {one_line(one.next)}")
    return 1


def _objection(one: Objection) -> dict[str, object]:
    return {"what": one.what, "next": one.next, "yields_to_override": one.yields}


def _tell(
    settings: Settings,
    by: str,
    row: AuditRow | None,
    name: str,
    notes: list[str],
    *,
    as_json: bool,
) -> int:
    """What was moved, to others and to whoever asked. `row` None: nothing was."""
    heard = tell_others(settings, by)
    cautions = notes + [f"{one.subject} was not told: {one.why}" for one in heard if one.why]
    cautions += champion_cautions(settings)
    aliases = aliases_at(settings.store_path)
    champion, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
    if champion is not None and champion.release not in settings.releases:
        cautions.append(f"{CONFIG_NAME} does not declare {champion.release!r}: put it back")
    if as_json:
        print_json(
            {
                "moved": row is not None,
                "action": None if row is None else row.action,
                "champion": _pointed(champion) or {"release": name, "digest": ""},
                "previous": _pointed(previous),
                "run_id": None if champion is None else champion.run_id,
                "by": by,
                "audit": None if row is None else row.hash,
                "told": [{"subject": one.subject, "why_not": one.why} for one in heard],
                "cautions": cautions,
            }
        )
        return 0
    if row is None:
        told = "in production" if champion is None else f"since {champion.since:%Y-%m-%d %H:%M}"
        print(one_line(f"{name} is champion already, {told}: nothing is moved"))
    else:
        print(one_line(_sentence(row)))
    if row is not None and previous is not None:
        print(one_line(f"previous: {_named(previous)}, which flywheel rollback brings back"))
    if told_well := [one.subject for one in heard if not one.why]:
        print(f"told: {', '.join(told_well)}")
    for caution in cautions:
        print(one_line(f"caution: {caution}"))
    return 0


def _sentence(row: AuditRow) -> str:
    told = row.told
    champion = f"{told[CHAMPION]['release']} ({told[CHAMPION]['digest'][:12]})"
    if row.action == "rollback":
        return f"champion: {champion} again, moved by {row.by}"
    override = told.get("override")
    how = f"verdict {label(told['verdict'])} of run {told['run_id']}"
    if override:
        how = f"override until {override['expires']} against {how}"
    return f"champion: {champion}, moved by {row.by} on {how}"


def _pointed(alias: Alias | None) -> dict[str, str] | None:
    return None if alias is None else {"release": alias.release, "digest": alias.digest}


def _named(alias: Alias) -> str:
    return f"{alias.release} ({alias.digest[:12]})"
