"""One log file → landing, feedback, dead letters and its row in sources, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from tasks.ingest.unread import Unread
from tasks.logs import formats
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import fingerprint
from tasks.logs.formats import AnyFormat
from tasks.logs.reading.batches import cap_of, dead_file
from tasks.logs.reading.here import Found
from tasks.logs.reading.reader import LogReader
from tasks.logs.shapes.rows import Provenance
from tasks.model.window import OPEN, Window
from tasks.run import Run
from tasks.store import Store
from tasks.store.held import dead_letters as deadletters
from tasks.store.intake import sources as readings
from tasks.store.intake.ids import safe_ids
from tasks.store.intake.readings import Counts, Intake


def take_in(
    run: Run,
    store: Store,
    reader: LogReader,
    unread: Unread,
    forced: AnyFormat | None,
    window: Window,
    files: Sequence[LogFile],
) -> None:
    """What `unread` holds of the window. `files`: all of the run; some explain each other.

    Raises UnreadableLogError.
    """
    limits, file = run.settings.ingest, unread.file
    with reader.open(file, forced) as log:
        log.join(files)
        found = log.found
        named = forced.NAME if forced is not None else formats.UNKNOWN
        made_by = Provenance(
            path=file.source,
            format=found.format or named,
            parser_version=found.parser_version,
            run_id=run.run_id,
            now=run.clock(),
            window=window,
        )
        # only lines can be appended to; a document or table that grew is another one
        last = unread.appended_to
        appended = last is not None and found.syntax == "lines" and last.format == made_by.format
        start = last.bytes_done if last is not None and appended else 0
        superseded = _superseded(store, unread, found, start)
        intake = Intake(store, cap_of(limits), safe_ids(run))
        intake.counts.bytes_done = file.size_bytes
        intake.take(log.rows(made_by, cap_of(limits), start))
        digest = unread.digest or log.digest()
    deadletters.mark_replayed(store, sorted(superseded - intake.dead.keys()))
    readings.add_reading(store, _row(unread, digest, made_by, intake.counts, start))


def give_up(run: Run, store: Store, unread: Unread, forced: AnyFormat | None, reason: str) -> None:
    """One letter for the file, which is marked as read."""
    file, limits = unread.file, run.settings.ingest
    made_by = Provenance(
        path=file.source,
        format=formats.UNKNOWN if forced is None else forced.NAME,
        parser_version=formats.version_of(None, limits.columns),
        run_id=run.run_id,
        now=run.clock(),
    )
    intake = Intake(store, cap_of(limits), safe_ids(run))
    intake.take(dead_file(file, reason, made_by))
    digest = unread.digest or fingerprint(file).digest
    readings.add_reading(store, _row(unread, digest, made_by, intake.counts, 0))


def _superseded(store: Store, unread: Unread, found: Found, start: int) -> set[str]:
    """Dead letters whose bytes this reading looks at once more."""
    source = unread.file.source
    if unread.appended_to is not None and start:
        return deadletters.waiting_at(store, source, start)
    waiting = deadletters.waiting_at(store, source, 0) if unread.appended_to is not None else set()
    return waiting | (deadletters.whole_files(store, source) if found.format is not None else set())


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
