"""One log file → landing, feedback, dead letters and its row in sources.

Whoever calls makes a transaction of it, and may make one of many small files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass

from tasks.ingest.unread import Unread
from tasks.logs import formats
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import fingerprint
from tasks.logs.formats import AnyFormat
from tasks.logs.reading.batches import cap_of, dead_file
from tasks.logs.reading.here import Found
from tasks.logs.reading.made_by import MadeBy
from tasks.logs.reading.reader import OpenLog, Reader
from tasks.logs.shapes.rows import Provenance
from tasks.model.canonical import canonical_json
from tasks.model.window import OPEN, Window
from tasks.run import Run
from tasks.store import Store
from tasks.store.held import dead_letters as deadletters
from tasks.store.held.dead_letters import Place
from tasks.store.intake import landing, reread
from tasks.store.intake import sources as readings
from tasks.store.intake.forgotten import Forgotten
from tasks.store.intake.ids import SafeId
from tasks.store.intake.readings import Counts, FileRows
from tasks.store.intake.streaming import Intake
from tasks.store.intake.together import WholeReading, take_together

_LONG = ("messages", "response", "tags")


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for every file of an ingest. `files`: all of it; some explain each other.
    `forgotten`: what was erased."""

    run: Run
    store: Store
    reader: Reader
    forced: AnyFormat | None
    window: Window
    files: Sequence[LogFile]
    safe_id: SafeId
    forgotten: Forgotten

    @property
    def made_by(self) -> MadeBy:
        forced = None if self.forced is None else self.forced.NAME
        return MadeBy(self.run.run_id, self.window, forced)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A file that was recognised. `start`: where this reading of it begins."""

    log: OpenLog
    found: Found
    made_by: Provenance
    start: int


@dataclass(frozen=True, slots=True)
class SmallReading:
    """All of a small file, which is closed by now."""

    unread: Unread
    begun: _Begun
    digest: str
    rows: WholeReading

    @property
    def num_bytes(self) -> int:
        """Of what may be long in it."""
        _, dead_bytes = self.rows.rows.held
        return dead_bytes + sum(int(self.rows.calls[name].nbytes) for name in _LONG)


def take_in(job: Job, unread: Unread) -> None:
    """What is unread of a file of any size. Raises UnreadableLogError."""
    store, limits, source = job.store, job.run.settings.ingest, unread.file.source
    with _begun(job, unread, job.reader.open(unread.file, job.forced)) as begun:
        waiting = deadletters.waiting_in(store, [source]).get(source, [])
        superseded = _superseded(waiting, unread, begun)
        boundary = landing.last_row(store)
        intake = Intake(store, cap_of(limits), job.safe_id, job.forgotten)
        intake.counts.bytes_done = unread.file.size_bytes
        intake.take(begun.log.rows(begun.made_by, cap_of(limits), begun.start))
        digest = unread.digest or begun.log.digest()
    _replace_earlier(job, boundary, [(unread, begun, intake.counts)])
    deadletters.mark_replayed(store, sorted(superseded - intake.dead.keys()))
    row = _row(unread, digest, begun.made_by, intake.counts, begun.start)
    readings.add_readings(store, [row])


def read_small(job: Job, unread: Unread) -> SmallReading | None:
    """The same of a small file, without the store; None: it holds too much for that."""
    limits = job.run.settings.ingest
    opened = job.reader.open_small(unread.file, job.forced)
    if opened is None:
        return None
    with _begun(job, unread, opened) as begun:
        batches = begun.log.rows(begun.made_by, cap_of(limits), begun.start)
        rows = FileRows(cap_of(limits), job.safe_id, job.forgotten)
        calls = rows.add(next(batches))
        if next(batches, None) is not None:
            return None
        rows.end()
        digest = unread.digest or begun.log.digest()
    return SmallReading(unread, begun, digest, WholeReading(rows, calls))


def take_in_together(job: Job, files: Sequence[SmallReading]) -> None:
    """What `read_small` found in these files, no two of them the same."""
    store = job.store
    waiting = deadletters.waiting_in(store, [each.unread.file.source for each in files])
    boundary = landing.last_row(store)
    take_together(store, [each.rows for each in files])
    counts = [(each.unread, each.begun, each.rows.rows.counts) for each in files]
    _replace_earlier(job, boundary, counts)
    replayed: set[str] = set()
    rows = []
    for each in files:
        unread, begun, reading = each.unread, each.begun, each.rows.rows
        superseded = _superseded(waiting.get(unread.file.source, []), unread, begun)
        replayed |= superseded - reading.dead.keys()
        rows.append(_row(unread, each.digest, begun.made_by, reading.counts, begun.start))
    deadletters.mark_replayed(store, sorted(replayed))
    readings.add_readings(store, rows)


def give_up(job: Job, unread: Unread, reason: str) -> None:
    """One letter for the file, which is marked as read."""
    file, limits, forced = unread.file, job.run.settings.ingest, job.forced
    made_by = Provenance(
        path=file.source,
        format=formats.UNKNOWN if forced is None else forced.NAME,
        parser_version=formats.version_of(None, limits.tables),
        run_id=job.run.run_id,
        now=job.run.clock(),
    )
    intake = Intake(job.store, cap_of(limits), job.safe_id, job.forgotten)
    intake.take(dead_file(file, reason, made_by))
    digest = unread.digest or fingerprint(file).digest
    readings.add_readings(job.store, [_row(unread, digest, made_by, intake.counts, 0)])


@contextmanager
def _begun(job: Job, unread: Unread, opened: AbstractContextManager[OpenLog]) -> Iterator[_Begun]:
    with opened as log:
        log.join(job.files)
        found = log.found
        made_by = job.made_by.of(unread.file, found, job.run.clock())
        # only lines can be appended to; a document, a table or a refused file that grew is another
        last, is_lines = unread.appended_to, found.syntax == "lines" and found.format is not None
        appended = last is not None and is_lines and last.format == made_by.format
        start = last.bytes_done if last is not None and appended else 0
        yield _Begun(log, found, made_by, start)


def _replace_earlier(
    job: Job, boundary: int, files: Sequence[tuple[Unread, _Begun, Counts]]
) -> None:
    """What an earlier reading made of lines that were read again because their file has grown."""
    grown = {
        unread.file.source: (begun, counts) for unread, begun, counts in files
        if (last := unread.appended_to) is not None and begun.start < last.size_bytes
        and begun.found.syntax in ("lines", "text") and last.format == begun.made_by.format
    }  # fmt: skip
    by_id = [path for path, (begun, _) in grown.items() if begun.found.syntax == "text"]
    counts = {path: counts for path, (_, counts) in grown.items()}
    reread.replace_earlier(job.store, boundary, counts, by_id, job.run.run_id)


def _superseded(waiting: Sequence[Place], unread: Unread, begun: _Begun) -> set[str]:
    """Dead letters whose bytes this reading looks at once more, of those that wait."""
    again: set[str] = set()
    if unread.appended_to is not None:
        again = {place.letter_id for place in waiting
                 if place.line_number is not None and place.byte_offset == begun.start}  # fmt: skip
        if begun.start:
            return again
    elif begun.found.format is None:
        return again
    # of a file that grew and is still refused, the new letter stands for all of it
    return again | {place.letter_id for place in waiting if place.line_number is None}


def _row(
    unread: Unread, digest: str, made_by: Provenance, counts: Counts, start: int
) -> dict[str, object]:
    """The row of `sources`; its window and call times are of the file, not of its tail alone."""
    file, last = unread.file, unread.appended_to if start else None
    if last is not None:
        counts.met_calls(last.first_call_at, last.last_call_at)
    took_all = counts.outside_window == 0 and (last is None or unread.is_whole)
    window = OPEN if took_all else made_by.window
    return {
        **asdict(counts),
        "rows_in": counts.rows_in,
        "unread_keys": canonical_json(counts.unread_keys) if counts.unread_keys else None,
        "path": made_by.path,
        "digest": digest,
        "size_bytes": file.size_bytes,
        "mtime_ns": file.mtime_ns,
        "etag": file.etag,
        "format": made_by.format,
        "parser_version": made_by.parser_version,
        "run_id": made_by.run_id,
        "read_at": made_by.now,
        "since": window.since,
        "until": window.until,
        "changed": unread.changed,
    }
