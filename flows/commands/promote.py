"""`flywheel promote` and `flywheel rollback`: the one way to move the champion."""

from __future__ import annotations

from flows.from_mlflow import promote_from_mlflow
from flows.moved import LOCK_TIMEOUT_S, refuse_unmoved, tell_others
from flows.promoting import Asked, Promoted, make_move, promote_asked
from flows.said import who
from flows.terminal import print_json
from tasks.champion import champion_cautions
from tasks.model.alias import Alias
from tasks.model.audit import AuditRow
from tasks.model.visible import one_line
from tasks.releases.promotion import (
    CHAMPION,
    MLFLOW,
    PREVIOUS,
    Decision,
    Judged,
    Objection,
    rolled_back,
)
from tasks.report.wording import label
from tasks.run import utc_now
from tasks.settings import CONFIG_NAME, Settings, read_settings
from tasks.store.control.aliases import aliases_at, read_aliases
from tasks.store.opening import open_store


def promote(asked: Asked, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    done = promote_asked(settings, asked, utc_now())
    if done.decision.objections:
        return _hold(done.judged, done.decision, as_json=as_json)
    return _tell(settings, done.by, done.row, done.judged.name, done.notes, as_json=as_json)


def promote_wanted(*, by: str, config: str | None, as_json: bool) -> int:
    """What somebody asks for by having moved the alias in MLflow."""
    settings = read_settings(config)
    done = promote_from_mlflow(settings, by or MLFLOW, utc_now())
    if isinstance(done, Promoted):
        return _tell(settings, done.by, done.row, done.judged.name, done.notes, as_json=as_json)
    told = {"moved": False, "release": "" if done is None else done.release}
    why = "the alias champion in MLflow asks for nothing new" if done is None else done.why
    if as_json:
        print_json({**told, "why": why})
    elif done is None:
        print(why)
    else:
        print(one_line(f"held: {done.release} is not promoted, and the alias is moved back: {why}"))
    return int(done is not None)


def rollback(*, why: str, by: str, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    at = utc_now()
    by = who(by)
    before = aliases_at(settings)
    rolled_back(before, at, why)  # refused before anything is opened for writing
    with (
        open_store(settings, lock_timeout_s=LOCK_TIMEOUT_S) as store,
        store.transaction(),
    ):
        aliases = read_aliases(store)
        if aliases != before:
            raise refuse_unmoved(before[CHAMPION], aliases[CHAMPION])
        move = rolled_back(aliases, at, why)
        row = make_move(store, move, by, at)
    return _tell(settings, by, row, move.champion.release, [], as_json=as_json)


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
    aliases = aliases_at(settings)
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
