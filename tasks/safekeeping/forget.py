"""A person, or one call, out of the whole state folder, and what is left of it told.

In this order: piped-in logs; what Prefect was told; the store in one transaction, with the list of
what does not come in again; then, from a marker that needs nothing of what is gone by now, pages,
copies, MLflow, and the file of the store anew. Killed before the transaction ends, nothing has
happened that the same command does not do again; killed after it, `unfinished` tells, and `finish`
does the rest.

What stages know is handed in, for this room knows no stage. Whoever calls holds the run lock.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from tasks.model.canonical import canonical_json
from tasks.model.erasure import erased
from tasks.model.sample import Sample
from tasks.safekeeping.contents import ERASURES, UNFINISHED
from tasks.safekeeping.erasable import Found, find, piped_logs
from tasks.safekeeping.prefect_history import clear_history
from tasks.safekeeping.purge import clear_rests, remove
from tasks.safekeeping.searching import Search, is_packed, without_lines
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control import erasures
from tasks.store.control.pseudonym_key import pseudonym_key
from tasks.store.db.compaction import compact
from tasks.store.evals import erasing as evals
from tasks.store.evals.samples import find_eval_set, read_eval_set, write_eval_set
from tasks.store.folder import KEPT
from tasks.store.held import erasing as held
from tasks.store.held.raw_key import RawKey
from tasks.store.intake import erasing as intake
from tasks.store.intake.forgotten import Kind, Mark, erased_by, is_committed, keep_marks, keyed
from tasks.store.opening import open_store
from tasks.tracking.publish import Pages


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who or what is to be forgotten. `request_ids`: the id as it was said and as it is stored;
    `users`: by hash."""

    kind: Literal["user", "request"]
    request_ids: frozenset[str]
    users: frozenset[str]
    safe_id: Callable[[str], str]

    @property
    def subjects(self) -> frozenset[str]:
        return self.users if self.kind == "user" else self.request_ids

    @property
    def mark_kind(self) -> Kind:
        return "user" if self.kind == "user" else "call"


@dataclass(frozen=True, slots=True)
class Stages:
    """What of the stages an erasure needs.

    `without`: digest and samples of the set that is left. `written_from`: samples of pins and suite
    lines that name one of these calls. `redraw`: the pages of a run anew; None where it has none;
    `redraw_index`: the page of all runs. `clear_elsewhere`: of what a server was told of runs since
    then, what has it; how many texts that were.
    """

    without: Callable[[str, Sequence[Sample], Collection[str]], tuple[str, Sequence[Sample]]]
    written_from: Callable[[Collection[str]], Collection[str]]
    redraw: Callable[[str], Pages | None]
    redraw_index: Callable[[], None]
    clear_elsewhere: Callable[[Callable[[str], bool], datetime | None], int]


@dataclass(frozen=True, slots=True)
class ErasedSet:
    """`successor`: the set of the samples that are left; None where none was made."""

    digest: str
    successor: str | None
    num_samples: int


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What an erasure came to: counts and digests, and no text.

    `subject`: keyed hashes of the user or of the request id. `counts`: by kind. `samples` left the
    `eval_sets`, `runs` stood on those. `sealed`: held rows that no key at hand opens, so that
    nobody knows whose they are. `copies` of the store, which went whole.
    """

    erasure_id: str
    erased_at: str
    kind: Literal["user", "request"]
    subject: tuple[str, ...]
    why: str
    counts: Mapping[str, int]
    eval_sets: tuple[ErasedSet, ...] = ()
    runs: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    sealed: int = 0
    copies: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Forgetting:
        lists = {name: tuple(value[name]) for name in ("subject", "runs", "samples", "copies")}
        sets = tuple(ErasedSet(**one) for one in value["eval_sets"])
        return cls(**{**value, **lists, "eval_sets": sets})


def look(
    settings: Settings, key: RawKey | None, wanted: Wanted, stages: Stages
) -> tuple[Found, Search]:
    """What would go; nothing is written. Raises StoreError where there is no store."""
    with open_store(settings, read_only=True, raw_key=key) as store:
        return find(store, wanted.request_ids, wanted.users, wanted.safe_id, stages.written_from)


def forgotten_before(settings: Settings, wanted: Wanted) -> str | None:
    """The erasure by which this user or call is forgotten already."""
    key = pseudonym_key(settings.home_path)
    with open_store(settings, read_only=True) as store:
        marks = (erased_by(store, keyed(key, wanted.mark_kind, one)) for one in wanted.subjects)
        return next((mark for mark in marks if mark is not None), None)


def forget(
    settings: Settings,
    key: RawKey | None,
    wanted: Wanted,
    found: Found,
    search: Search,
    stages: Stages,
    *,
    erasure_id: str,
    now: datetime,
    why: str,
) -> Forgetting:
    """Erase what was found, to the end."""
    home = settings.home_path
    num_lines = _clear_spool(home, search)
    num_told = stages.clear_elsewhere(search.tells, found.since) + clear_history(home, search)
    secret = pseudonym_key(home)
    with open_store(settings, raw_key=key) as store, store.transaction():
        sets = _erase_rows(store, found, search, stages, erasure_id, now)
        keep_marks(store, _marks(secret, wanted, found, now), erasure_id)
        begun = Forgetting(
            erasure_id=erasure_id,
            erased_at=f"{now.isoformat()}Z",
            kind=wanted.kind,
            subject=tuple(sorted(keyed(secret, wanted.mark_kind, one) for one in wanted.subjects)),
            why=why,
            counts={**found.counts, "piped_lines": num_lines, "history": num_told},
            eval_sets=sets,
            runs=found.runs,
            samples=found.samples,
            sealed=found.sealed,
            copies=tuple(path.name for path in kept_copies(home)),
        )
        # before it is committed: who finishes it finds all there is to do
        _write(home / UNFINISHED, begun)
    return finish(settings, begun, stages)


def unfinished(home: Path) -> Forgetting | None:
    try:
        return Forgetting.from_dict(json.loads((home / UNFINISHED).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a marker that is not whole was never followed by anything


def finish_unfinished(settings: Settings, stages: Stages) -> Forgetting | None:
    """What an erasure that was killed left to do; None where none did, or nothing was erased."""
    begun = unfinished(settings.home_path)
    if begun is None:
        return None
    with open_store(settings) as store:
        has_erased = is_committed(store, begun.erasure_id)
    if not has_erased:
        (settings.home_path / UNFINISHED).unlink()
        return None
    return finish(settings, begun, stages)


def finish(settings: Settings, begun: Forgetting, stages: Stages) -> Forgetting:
    """All behind the transaction; done twice, it is the same as once."""
    from tasks.tracking.erasing import erase_in_mlflow

    home = settings.home_path
    pages = {run_id: stages.redraw(run_id) for run_id in begun.runs}
    stages.redraw_index()
    for copy in kept_copies(home):
        remove(copy)
    with open_store(settings, read_only=True) as store:
        sentences = {run_id: erased(erasures.erasures_of(store, run_id)) for run_id in begun.runs}
    num_traces = erase_in_mlflow(settings, pages, begun.samples, sentences)
    clear_rests(home, settings.store_path)
    compact(settings.store_path)
    num_pages = sum(len(one.files) for one in pages.values() if one is not None)
    done = replace(
        begun,
        counts={**begun.counts, "pages": num_pages, "traces": num_traces},
    )
    told(home, done)
    (home / UNFINISHED).unlink()
    return done


def told(home: Path, done: Forgetting) -> Path:
    """Keep what an erasure came to."""
    folder = home / ERASURES
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{done.erasure_id}.json"
    _write(path, done)
    return path


def _write(path: Path, what: Forgetting) -> None:
    """Whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(json.dumps(what.to_dict(), indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _erase_rows(
    store: Store, found: Found, search: Search, stages: Stages, erasure_id: str, now: datetime
) -> tuple[ErasedSet, ...]:
    intake.erase_calls(store, found.calls, found.reports)
    intake.erase_signals(store, [signal.feedback_id for signal in found.signals])
    held.erase_held(store, found.held, found.letters)
    sets = tuple(_leave_set(store, digest, found, stages, now) for digest in found.sets)
    for one in sets:
        erasures.keep_erasure(store, erasure_id, now, one.digest, one.successor, one.num_samples)
    evals.erase_samples(store, found.samples, found.runs, found.since)
    erasures.abandon_on(store, list(found.sets), now)
    erasures.blot_out(store, search.quotes)
    return sets


def _leave_set(store: Store, digest: str, found: Found, stages: Stages, now: datetime) -> ErasedSet:
    """Make the set of what is left of one that was whole. One that was erased from before has a
    successor, which is among the sets that are left now."""
    number, eval_set = found.sets[digest], find_eval_set(store, digest)
    samples = read_eval_set(store, digest)
    if eval_set is None or digest in erasures.erased_sets(store) or number == len(samples):
        return ErasedSet(digest, None, number)
    successor, left = stages.without(digest, samples, found.samples)
    write_eval_set(
        store,
        successor,
        left,
        created_at=now,
        run_id=eval_set.run_id,
        parent_digest=digest,
        rule=canonical_json({**eval_set.rule, "forgotten": number}),
    )
    return ErasedSet(digest, successor, number)


def _marks(secret: bytes, wanted: Wanted, found: Found, now: datetime) -> list[Mark]:
    """Of all that may come in again."""
    told: list[tuple[Kind, str | bytes]] = []
    told += (("call", request_id) for request_id in sorted(found.request_ids))
    told += (("content", call.content_digest) for call in found.calls)
    told += (("content", report.content_digest) for report in found.reports)
    told += (("feedback", signal.feedback_id) for signal in found.signals)
    told += (("line", letter.raw) for letter in found.letters if letter.raw)
    for row in found.held:
        told += [("content", row.content_digest)] if row.content_digest else []
        told += [("feedback", row.feedback_id)] if row.feedback_id else []
    marks = [Mark(keyed(secret, kind, one)) for kind, one in dict.fromkeys(told)]
    return [*marks, *(Mark(keyed(secret, "user", user), now) for user in sorted(wanted.users))]


def _clear_spool(home: Path, search: Search) -> int:
    """Lines of piped-in logs. One that is packed cannot be taken apart: it goes, as one line."""
    num = 0
    for path in piped_logs(home):
        if is_packed(path):
            path.unlink()
            num += 1
        else:
            num += without_lines(path, search.holds)
    return num


def kept_copies(home: Path) -> list[Path]:
    """Copies of the store, which hold all of it as it was and cannot be taken apart: kept ones, and
    what a killed `flywheel reproduce` left."""
    return sorted((*(home / KEPT).glob("*"), *home.glob(".reproducing-*")))
