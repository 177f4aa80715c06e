"""One log file → landing, feedback, dead letters and its row in sources, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from tasks.ingest.unread import Unread
from tasks.logs import formats
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import LogStream
from tasks.logs.formats import AnyFormat, Format
from tasks.logs.reading.batch_inputs import with_requests
from tasks.logs.reading.batches import rows_of
from tasks.logs.reading.locate import Reading
from tasks.logs.reading.processes import num_processes, parse_with_processes
from tasks.logs.reading.recognise import Recognised, open_log, recognise_file
from tasks.logs.reading.worker import Assignment
from tasks.logs.shapes.rows import Provenance
from tasks.model.window import OPEN, Window
from tasks.run import Run
from tasks.settings import IngestSettings
from tasks.store import Store
from tasks.store.held import dead_letters as deadletters
from tasks.store.intake import sources as readings
from tasks.store.intake.ids import safe_ids
from tasks.store.intake.readings import Counts, Intake, LogRows

#: starting processes takes as long as parsing this much in one
_MIN_BYTES_FOR_PROCESSES = 32 * 2**20


def take_in(
    run: Run,
    store: Store,
    unread: Unread,
    forced: AnyFormat | None,
    window: Window,
    files: Sequence[LogFile],
) -> None:
    """What `unread` holds of the window. `files`: all of the run; some explain each other."""
    limits, file = run.settings.ingest, unread.file
    seen = with_requests(recognise_file(file, limits, forced), file, limits, files)
    named = seen.format or forced
    made_by = Provenance(
        path=file.source,
        format=formats.UNKNOWN if named is None else named.NAME,
        parser_version=formats.version_of(seen.format, limits.columns),
        run_id=run.run_id,
        now=run.clock(),
        window=window,
    )
    # only lines can be appended to; a document or table that grew is another one
    last = unread.appended_to
    appended = last is not None and seen.syntax == "lines" and last.format == made_by.format
    start = last.bytes_done if last is not None and appended else 0
    superseded = _superseded(store, unread, seen, start)
    intake = Intake(store, safe_ids(run))
    intake.counts.bytes_done = file.size_bytes
    with open_log(file, limits) as stream:
        intake.take(_rows(limits, stream, seen, file, made_by, start))
        digest = unread.digest or stream.digest()
    deadletters.mark_replayed(store, sorted(superseded - intake.dead_ids))
    readings.add_reading(store, _row(unread, digest, made_by, intake.counts, start))


def _superseded(store: Store, unread: Unread, seen: Recognised, start: int) -> set[str]:
    """Dead letters whose bytes this reading looks at once more."""
    source = unread.file.source
    if unread.appended_to is not None and start:
        return deadletters.waiting_at(store, source, start)
    waiting = deadletters.waiting_at(store, source, 0) if unread.appended_to is not None else set()
    return waiting | (deadletters.whole_files(store, source) if seen.format is not None else set())


def _rows(
    limits: IngestSettings,
    stream: LogStream,
    seen: Recognised,
    file: LogFile,
    made_by: Provenance,
    start: int,
) -> Iterator[LogRows]:
    """What the file brings from byte `start` on. Lines of a large plain file are parsed apart."""
    count = num_processes(limits.processes)
    large = file.size_bytes - start >= _MIN_BYTES_FOR_PROCESSES and not stream.is_compressed
    by_name = seen.format is formats.by_name(made_by.format, limits.columns)
    if seen.syntax == "lines" and large and count > 1 and seen.format is not None and by_name:
        work = Assignment(file.path, made_by, limits.max_line_bytes, limits.max_json_depth)
        return parse_with_processes(stream, start, work, count)
    parser = seen.format if isinstance(seen.format, Format) else None
    reading = Reading(parser, limits.max_line_bytes, limits.max_json_depth)
    located = reading.records(seen, stream, file, start)
    return rows_of(located, made_by, lambda: reading.bytes_done)


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
