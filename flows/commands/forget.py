"""`flywheel forget`: a person, or one call, leaves the whole state folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path

from flows.commands.decided import last_decided
from flows.commands.pin import masked
from flows.commands.ui import served, server_elsewhere
from flows.prefect_server import require, served_by_up
from flows.terminal import console, print_json, print_pairs
from flows.turn import hold, say_if_unfinished
from tasks.answering.journal import recover
from tasks.curate.evalset import EvalSet, without
from tasks.curate.named import samples_written_from
from tasks.errors import UsageError
from tasks.logs.shapes.coerce import user_hash
from tasks.model.run import RunRequest
from tasks.model.sample import Sample
from tasks.model.urls import without_password
from tasks.receipts.files import receipt_path, write_without
from tasks.receipts.reading import read_facts
from tasks.record.pages import index_of, pages_of, write_pages
from tasks.record.task import draw_pages, write_index
from tasks.run import Run, raw_key, utc_now
from tasks.safekeeping import forget as erasing
from tasks.safekeeping.backup import FOLDER as BACKUPS
from tasks.safekeeping.contents import ERASURES
from tasks.safekeeping.erasable import Found, piped_logs
from tasks.safekeeping.forget import Forgetting, Stages, Wanted
from tasks.safekeeping.searching import Search, lines_with
from tasks.settings import Settings, read_settings
from tasks.store.control import ledger, verdicts
from tasks.store.control.erasures import erasures_of
from tasks.store.db.connection import refuse_missing
from tasks.store.intake.ids import safe_ids
from tasks.store.opening import open_store
from tasks.tracking.publish import Links, Pages

_MAX_SHOWN = 20
#: in place of a page that cannot be drawn any more
_REMOVED = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Erased</title></head><body>'
    "<main><h1>This page was removed</h1><p>Samples of its run were erased, and what is left is "
    "not enough to draw it anew.</p></main></body></html>\n"
)
_NAMES = {
    "calls": "calls",
    "repeating_calls": "of them repeating",
    "merged_reports": "second reports",
    "feedback": "feedback",
    "held_rows": "held rows",
    "dead_letters": "dead letters",
    "samples": "samples",
    "completions": "completions",
    "scores": "scores",
    "judgements": "said by judges",
    "piped_lines": "piped-in lines",
    "history": "told to Prefect",
    "pages": "pages drawn anew",
    "traces": "traces in MLflow",
}


@dataclass(frozen=True, slots=True)
class Asked:
    user: str
    request: str
    why: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """What is not ours to change: FILE:LINE of logs, FILE:LINE of files of people, backups, and
    what is left at `servers`, with what removes it."""

    log_lines: Sequence[str] = ()
    own_lines: Sequence[str] = ()
    backups: Sequence[str] = ()
    servers: Sequence[str] = ()

    def to_dict(self) -> dict[str, list[str]]:
        return {field.name: list(getattr(self, field.name)) for field in fields(self)}


def forget(asked: Asked, *, config: str | None, as_json: bool) -> int:
    """Raises UsageError for somebody the state folder knows nothing of, and while pages of MLflow
    or of Prefect are served from it."""
    settings = read_settings(config)
    if asked.user and asked.request:
        raise UsageError("a person or a call, not both", received="--user and --request")
    refuse_missing(settings.store_path)
    if not asked.dry_run:
        _refuse_served(settings)
    stages = _stages(settings)
    with hold(settings):
        done = None
        if asked.dry_run:
            say_if_unfinished(settings.home_path)
        else:
            done = erasing.finish_unfinished(settings, stages)
        if not asked.user and not asked.request:
            if done is None:
                raise UsageError(
                    "nobody is named, and no erasure was interrupted",
                    next="flywheel forget --user HASH, or --request ID",
                )
            _tell(settings, done, _left_at_servers(settings), as_json=as_json)
            return 0
        if done is not None:
            print(f"finished erasure {done.erasure_id}, which was interrupted", file=sys.stderr)
        if not asked.dry_run:
            recover(settings, utc_now())
        wanted = _wanted(settings, asked)
        found, search = erasing.look(settings, raw_key(settings), wanted, stages)
        elsewhere = _elsewhere(settings, found, search)
        if not found.anything and not _is_piped(settings, search):
            return _tell_nothing(settings, asked, wanted, done, elsewhere, as_json=as_json)
        if asked.dry_run:
            _tell_found(settings, found, elsewhere, as_json=as_json)
            return 0
        now = utc_now()
        done = erasing.forget(
            settings,
            raw_key(settings),
            wanted,
            found,
            search,
            stages,
            erasure_id=ledger.new_run_id(now),
            now=now,
            why=masked(settings, asked.why),
        )
    _tell(settings, done, elsewhere, as_json=as_json)
    return 0


def _refuse_served(settings: Settings) -> None:
    """Their databases are written anew, which nobody may have open."""
    for who, command, url in (
        ("MLflow", "flywheel ui", served(settings)),
        ("Prefect", "flywheel up", served_by_up(settings.home_path)),
    ):
        if url:
            raise UsageError(
                f"the pages of {who} are served from this state folder",
                received=url,
                next=f"stop {command}, then run the same command again",
            )


def _wanted(settings: Settings, asked: Asked) -> Wanted:
    safe_id = safe_ids(Run("", RunRequest(), settings))
    if asked.request:
        ids = frozenset({asked.request, safe_id(asked.request)})
        return Wanted("request", ids, frozenset(), safe_id)
    # what looks like a hash may be one, or a name that does
    users = {user_hash(None, asked.user), user_hash(asked.user)} - {None}
    return Wanted("user", frozenset(), frozenset(map(str, users)), safe_id)


def _stages(settings: Settings) -> Stages:
    return Stages(
        without=_without,
        written_from=lambda request_ids: samples_written_from(settings, request_ids),
        redraw=lambda run_id: _redraw(settings, run_id),
        redraw_index=lambda: _redraw_index(settings),
        clear_elsewhere=_clear_elsewhere,
    )


def _clear_elsewhere(tells: Callable[[str], bool], since: datetime | None) -> int:
    """Where a Prefect server of the user's is told of runs. Raises StoreError where it does not
    answer: nothing is erased yet."""
    given = os.environ.get("PREFECT_API_URL")
    if not given:
        return 0
    require(given)
    from flows.prefect_elsewhere import clear_elsewhere

    return clear_elsewhere(given, tells, since)


def _without(
    digest: str, samples: Sequence[Sample], gone: Collection[str]
) -> tuple[str, Sequence[Sample]]:
    left = without(EvalSet(digest, tuple(samples)), frozenset(gone))
    return left.digest, left.samples


def _redraw(settings: Settings, run_id: str) -> Pages | None:
    """Receipt and pages of a run from what is left in the store."""
    folder, receipt = pages_of(settings, run_id), receipt_path(settings.home_path, run_id)
    with open_store(settings, read_only=True) as store:
        recorded = ledger.finished_stage(store, run_id, "record")
        facts = read_facts(store, run_id) if verdicts.read_verdicts(store, run_id) else None
        erased = erasures_of(store, run_id)
    if facts is not None and (recorded is not None or receipt.exists()):
        write_without(settings, facts, [one.to_json() for one in erased])
    if recorded is None and not folder.is_dir():
        return None
    try:
        if recorded is None:
            return _removed(folder, receipt)
        _, turn = last_decided(settings, run_id, undecided="the run has no verdict")
        links = Links(**{one.name: recorded.notes[one.name] for one in fields(Links)})
        return draw_pages(turn, folder, links, receipt)
    except Exception:
        # whatever keeps them from being drawn: the old ones must not stay
        return _removed(folder, receipt)


def _redraw_index(settings: Settings) -> None:
    """The page of all runs, where there is one."""
    if index_of(settings).exists():
        write_index(settings)


def _removed(folder: Path, receipt: Path) -> Pages:
    names = [path.name for path in sorted(folder.glob("report*.html"))]
    write_pages(folder, dict.fromkeys(names, _REMOVED.encode()))
    for path in (*folder.glob("differences.*"), *folder.glob(".*.new")):
        path.unlink()
    pages = tuple(folder / name for name in names)
    return Pages("", pages, receipt if receipt.exists() else None)


def _is_piped(settings: Settings, search: Search) -> bool:
    return bool(lines_with(piped_logs(settings.home_path), search))


def _elsewhere(settings: Settings, found: Found, search: Search) -> _Elsewhere:
    files = [settings.path(settings.curate.pins)]
    files += (settings.path(suite.samples) for suite in settings.suites.values() if suite.samples)
    files += (settings.path(judge.labels) for judge in settings.judges.values() if judge.labels)
    files += sorted(settings.path(settings.review.folder).glob("*.jsonl"))
    return replace(
        _left_at_servers(settings),
        log_lines=found.log_lines,
        own_lines=lines_with(dict.fromkeys(files), search),
    )


def _left_at_servers(settings: Settings) -> _Elsewhere:
    """And the backups: what is told of an erasure of which only the end is left to do, too."""
    told = []
    if url := server_elsewhere(settings):
        told.append(
            f"MLflow at {url}: its rows and files go, and its database may hold the bytes until it "
            "is written anew, where it lies: sqlite3 FILE 'VACUUM; PRAGMA wal_checkpoint(TRUNCATE)'"
            ", or VACUUM FULL in PostgreSQL"
        )
    if given := os.environ.get("PREFECT_API_URL"):
        told.append(
            f"Prefect at {without_password(given)}: its events stay until they are seven days old "
            "(PREFECT_SERVER_EVENTS_RETENTION_PERIOD), and bytes in its database likewise"
        )
    return _Elsewhere(backups=_backups(settings), servers=told)


def _backups(settings: Settings) -> list[str]:
    """Where `flywheel backup` puts them; those that were written elsewhere nobody knows."""
    return sorted(map(str, (settings.home_path.parent / BACKUPS).glob("*.tar")))


def _tell_nothing(
    settings: Settings,
    asked: Asked,
    wanted: Wanted,
    done: Forgetting | None,
    elsewhere: _Elsewhere,
    *,
    as_json: bool,
) -> int:
    """Of an erasure that has just been finished, that; else when it was done before."""
    if done is not None:
        _tell(settings, done, elsewhere, as_json=as_json)
        return 0
    before = erasing.forgotten_before(settings, wanted)
    if before is None:
        raise UsageError(
            f"the state folder knows nothing of this {'user' if asked.user else 'call'}",
            received=asked.user or asked.request,
            next="flywheel sql 'select distinct user_hash from requests' shows users, "
            "'select request_id from requests' calls",
        )
    if as_json:
        print_json({"forgotten_before": before, **elsewhere.to_dict()})
    else:
        lines = [("forgotten", f"already, by erasure {before}"), *_lines_elsewhere(elsewhere)]
        print_pairs(console(), lines)
    return 0


def _tell_found(settings: Settings, found: Found, elsewhere: _Elsewhere, *, as_json: bool) -> None:
    copies = [path.name for path in erasing.kept_copies(settings.home_path)]
    if as_json:
        print_json(
            {
                "dry_run": True, "counts": found.counts, "eval_sets": dict(found.sets),
                "runs": found.runs, "sealed": found.sealed, "copies": copies,
                **elsewhere.to_dict(),
            }
        )  # fmt: skip
        return
    lines = [("dry run", "nothing was changed; this would go"), *_lines_of(found.counts)]
    lines += [("eval sets", f"{len(found.sets):,} would get a successor without those samples")]
    lines += [("runs", f"{len(found.runs):,} stood on them, and would say so")]
    lines += [("copies", ", ".join(copies))] if copies else []
    lines += _lines_sealed(found.sealed)
    print_pairs(console(), [*lines, *_lines_elsewhere(elsewhere)])


def _tell(settings: Settings, done: Forgetting, elsewhere: _Elsewhere, *, as_json: bool) -> None:
    path = settings.home_path / ERASURES / f"{done.erasure_id}.json"
    if as_json:
        print_json({"dry_run": False, **done.to_dict(), **elsewhere.to_dict(), "file": str(path)})
        return
    lines = [("forgotten", f"erasure {done.erasure_id}"), *_lines_of(done.counts)]
    for one in done.eval_sets:
        after = f"succeeded by {one.successor[:12]}" if one.successor else "without a successor"
        lines.append(("eval set", f"{one.digest[:12]} lost {one.num_samples:,} samples, {after}"))
    lines += [("run", f"{run_id} says that its inputs were partly erased") for run_id in done.runs]
    lines += [("copy", f"{name}, which held all of it as it was, is gone") for name in done.copies]
    lines += _lines_sealed(done.sealed)
    print_pairs(console(), [*lines, *_lines_elsewhere(elsewhere), ("kept", str(path))])


def _lines_of(counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for kind, number in counts.items():
        if number:
            yield _NAMES[kind], f"{number:,}"


def _lines_sealed(number: int) -> Iterator[tuple[str, str]]:
    if number:
        yield "sealed", f"{number:,} held rows under a key that is not here: nobody knows whose"


def _lines_elsewhere(elsewhere: _Elsewhere) -> Iterator[tuple[str, str]]:
    """What a person has to do."""
    for name, places, what in (
        ("in a log", elsewhere.log_lines, "log lines"),
        ("in a file of yours", elsewhere.own_lines, "lines"),
        ("backup", elsewhere.backups, "backups, which hold what the state held"),
        ("on a server", elsewhere.servers, "servers"),
    ):
        for place in places[:_MAX_SHOWN]:
            yield name, place
        if len(places) > _MAX_SHOWN:
            yield name, f"{len(places) - _MAX_SHOWN:,} more {what}: --json"
    if any(elsewhere.to_dict().values()):
        yield "for you to do", "these are not ours to change: edit or delete them"
