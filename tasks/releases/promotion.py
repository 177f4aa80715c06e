"""Which release is champion, what may become it, and what a rollback is. Pure: values in, a move or
what stands against it out.

Champion is what was promoted last; until something was, what flywheel.toml names. An override takes
the place of the verdict, and of nothing else: what a verdict is about has to be what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

from tasks.errors import UsageError, did_you_mean
from tasks.model.alias import Alias, AliasName
from tasks.model.audit import AuditRow
from tasks.model.release import Release
from tasks.model.reuse import PairVerdict
from tasks.model.verdict import SHIPS
from tasks.releases.factors import changed, is_same
from tasks.report.wording import label
from tasks.settings import CONFIG_NAME, Settings

CHAMPION: AliasName = "champion"
PREVIOUS: AliasName = "previous"
PROMOTE: Literal["promote"] = "promote"
ROLLBACK: Literal["rollback"] = "rollback"
MOVES = (PROMOTE, ROLLBACK)
#: whether somebody who is to hear of a move heard of it
TOLD, UNTOLD = "told", "untold"
MLFLOW = "mlflow"

Aliases = Mapping[AliasName, Alias]


@dataclass(frozen=True, slots=True)
class Override:
    reason: str
    expires: date


@dataclass(frozen=True, slots=True)
class Judged:
    """A challenger as a run judged it, and the champion that it was held against. `name`: of the
    challenger in flywheel.toml."""

    verdict: PairVerdict
    name: str
    champion: Release
    challenger: Release


@dataclass(frozen=True, slots=True)
class Now:
    """What there is when something is to be promoted. `champion`: as it was promoted or, before
    any promotion, as flywheel.toml declares it. `declared`: what flywheel.toml declares under the
    challenger's name, None: nothing."""

    aliases: Aliases
    champion_name: str
    champion: Release
    previous: Release | None
    declared: Release | None
    verdicts: Sequence[PairVerdict]
    audit: Sequence[AuditRow]


@dataclass(frozen=True, slots=True)
class Objection:
    """Why something may not be promoted. `yields`: to an override."""

    what: str
    next: str
    yields: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """Where the aliases point from now on, and what the audit keeps of it."""

    action: Literal["promote", "rollback"]
    champion: Alias
    previous: Alias | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """`move` None without objections: it is champion already, and nothing new is said of it."""

    move: Move | None
    objections: tuple[Objection, ...] = ()


def champion_of(settings: Settings, aliases: Aliases) -> str:
    """The name of the release in production; empty where nobody has said. Raises UsageError where
    the one that was promoted is not declared any more."""
    promoted = aliases.get(CHAMPION)
    if promoted is None or promoted.release in settings.releases:
        return settings.champion if promoted is None else promoted.release
    name = promoted.release
    raise UsageError(
        f"release {name!r} was promoted, and {CONFIG_NAME} does not declare it any more"
        + did_you_mean(name, settings.releases),
        received=f"champion since {promoted.since:%Y-%m-%d %H:%M}, digest {promoted.digest[:12]}",
        allowed=", ".join(sorted(settings.releases)) or "no release is declared",
        next=f"put [releases.{name}] back (flywheel release show {promoted.digest[:12]} tells what "
        "it was), or flywheel rollback, or --champion NAME for this once",
    )


def decide(judged: Judged, now: Now, override: Override | None, at: datetime) -> Decision:
    """Whether a challenger becomes champion. One that is already may be said of anew: where an
    override made it champion, by a verdict that needs none or by another override."""
    of_verdict = list(_against_verdict(judged, now))
    if is_same(judged.challenger, now.champion):
        standing = override_in_force(now.audit)
        is_confirmed = (
            not of_verdict and now.previous is not None and is_same(judged.champion, now.previous)
        )
        if standing is None or not (override or is_confirmed):
            return Decision(None)
        champion = replace(now.aliases[CHAMPION], run_id=judged.verdict.run_id)
        previous = now.aliases.get(PREVIOUS)
        kept = None if is_confirmed else override
        return Decision(_promoted(judged, champion, previous, kept, of_verdict))
    objections = [*_against_identity(judged, now), *of_verdict]
    left = tuple(one for one in objections if not (override and one.yields))
    if left:
        return Decision(None, left)
    run_id, digest = judged.verdict.run_id, judged.challenger.digest
    before = now.aliases.get(CHAMPION)
    if before is None:  # what life began with, as the run judged it
        before = Alias(CHAMPION, now.champion_name, judged.champion.digest, None, at)
    champion = Alias(CHAMPION, judged.name, digest, run_id, at)
    previous = replace(before, alias=PREVIOUS, since=at)
    kept = override if objections else None
    return Decision(_promoted(judged, champion, previous, kept, of_verdict))


def rolled_back(aliases: Aliases, at: datetime, why: str) -> Move:
    """Champion and previous change places. Raises UsageError where there is no previous one."""
    if PREVIOUS not in aliases:
        raise UsageError(
            "there is no release to go back to",
            received="nothing was promoted yet" if CHAMPION not in aliases else "no previous",
            next=f"champion in {CONFIG_NAME} names the release in production until one is promoted",
        )
    champion = replace(aliases[PREVIOUS], alias=CHAMPION, since=at)
    previous = replace(aliases[CHAMPION], alias=PREVIOUS, since=at)
    details = {**_pointed(champion, previous), "run_id": champion.run_id, "why": why}
    return Move(ROLLBACK, champion, previous, details)


def override_in_force(audit: Sequence[AuditRow]) -> Mapping[str, Any] | None:
    """What made the champion champion against its verdict, though it came back by a rollback:
    reason, expires, by."""
    moved = last_move(audit)
    if moved is None:
        return None
    champion = moved.told.get(CHAMPION)
    for row in reversed(audit):
        if row.action == PROMOTE and row.told.get(CHAMPION) == champion:
            told = row.told.get("override")
            return {**told, "by": row.by} if told else None
    return None


def last_move(audit: Sequence[AuditRow]) -> AuditRow | None:
    return next((row for row in reversed(audit) if row.action in MOVES), None)


def waiting(audit: Sequence[AuditRow], subjects: Iterable[str]) -> list[str]:
    """Who of them is not known to have heard of the last move: one that was interrupted before it
    told them left no row."""
    heard: set[str] = set()
    for row in reversed(audit):
        if row.action in MOVES:
            return [subject for subject in subjects if subject not in heard]
        if row.action == TOLD:
            heard.add(row.subject)
    return []


def misplaced(aliases: Aliases, audit: Sequence[AuditRow]) -> str:
    """Where the aliases are not what the audit says they were moved to; empty where they are."""
    moved = last_move(audit)
    if moved is None:
        return "the aliases were moved, and no row tells of it" if aliases else ""
    for name in (CHAMPION, PREVIOUS):
        told, there = moved.told.get(name), aliases.get(name)
        said = None if there is None else {"release": there.release, "digest": there.digest}
        if told != said:
            return f"the alias {name} is not what row {moved.seq} says it was moved to"
    return ""


def cautions(
    settings: Settings,
    aliases: Aliases,
    audit: Sequence[AuditRow],
    promoted: Release | None,
    resolved: Release | None,
    today: date,
) -> Iterator[str]:
    """What should be looked at. `promoted`: the champion as it was judged; `resolved`: as what
    flywheel.toml declares under its name is now; None: not known."""
    champion = aliases.get(CHAMPION)
    if champion is None:
        return
    name = champion.release
    if settings.champion not in ("", name):
        yield (
            f"{CONFIG_NAME} names champion {settings.champion!r}, and {name!r} was promoted on "
            f"{champion.since:%Y-%m-%d}: {name!r} counts; write champion = {name!r}, or "
            "flywheel rollback"
        )
    if name in settings.challengers:
        yield (
            f"challenger {name!r} is champion by now, so it is held against itself: name another "
            f"challenger in {CONFIG_NAME}"
        )
    if promoted is not None and resolved is not None and not is_same(promoted, resolved):
        parts = ", ".join(changed(promoted, resolved))
        yield (
            f"release {name!r} changed without promotion: {parts}; it was promoted as "
            f"{promoted.digest[:12]} and is {resolved.digest[:12]}: put it back, and declare what "
            "is new as a release of its own"
        )
    standing = override_in_force(audit)
    if standing is not None and date.fromisoformat(standing["expires"]) < today:
        yield (
            f"release {name!r} is champion by an override of {standing['by']} that ended on "
            f"{standing['expires']} ({standing['reason']}): judge it again and promote it, or "
            "flywheel rollback"
        )


def _against_identity(judged: Judged, now: Now) -> Iterator[Objection]:
    again = f"flywheel run --challenger {judged.name}"
    if not is_same(judged.champion, now.champion):
        yield Objection(
            f"the verdict is about another champion: run {judged.verdict.run_id} held "
            f"{judged.name!r} against {_named(judged.champion)}, and champion is "
            f"{_named(now.champion)}",
            again,
        )
    if now.declared is None:
        yield Objection(
            f"{CONFIG_NAME} declares no release {judged.name!r} any more",
            f"put [releases.{judged.name}] back as it was judged",
        )
    elif not is_same(now.declared, judged.challenger):
        parts = ", ".join(changed(judged.challenger, now.declared))
        yield Objection(
            f"release {judged.name!r} is not what it was in the run: {parts} changed since", again
        )


def _against_verdict(judged: Judged, now: Now) -> Iterator[Objection]:
    verdict = judged.verdict
    again = f"flywheel run --challenger {judged.name}, or --override REASON --expires DAY"
    if verdict.verdict not in SHIPS:
        yield Objection(
            f"the verdict is {label(verdict.verdict)}, and only better or no worse is promoted",
            again,
            yields=True,
        )
    pair = verdict.champion_digest, verdict.challenger_digest
    later = [
        other
        for other in now.verdicts
        if (other.champion_digest, other.challenger_digest) == pair
        and other.decided_at > verdict.decided_at
    ]
    newest = max(later, key=lambda other: other.decided_at, default=None)
    if newest is not None and newest.verdict not in SHIPS:
        yield Objection(
            f"run {newest.run_id} judged the same two releases later: {label(newest.verdict)}",
            again,
            yields=True,
        )
    for row in reversed(now.audit):
        is_this = row.action == ROLLBACK and (row.told.get(PREVIOUS) or {}).get("digest") == pair[1]
        if is_this and row.at > verdict.decided_at:
            why = row.told.get("why") or "no reason given"
            yield Objection(
                f"release {judged.name!r} was rolled back after that verdict, by {row.by} on "
                f"{row.at:%Y-%m-%d %H:%M}: {why}",
                again,
                yields=True,
            )
            return


def _promoted(
    judged: Judged,
    champion: Alias,
    previous: Alias | None,
    override: Override | None,
    against: Sequence[Objection],
) -> Move:
    verdict = judged.verdict
    details: dict[str, Any] = {
        **_pointed(champion, previous),
        "run_id": verdict.run_id,
        "verdict": verdict.verdict,
        "judged_against": verdict.champion_digest,
    }
    if override is not None:
        details["override"] = {
            "reason": override.reason,
            "expires": override.expires.isoformat(),
            "against": [objection.what for objection in against],
        }
    return Move(PROMOTE, champion, previous, details)


def _pointed(champion: Alias, previous: Alias | None) -> dict[str, Any]:
    return {
        alias.alias: {"release": alias.release, "digest": alias.digest}
        for alias in (champion, previous)
        if alias is not None
    }


def _named(release: Release) -> str:
    return f"{release.name!r} ({release.digest[:12]})"
