"""One log file → landing, feedback, dead letters and its row in sources, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from tasks.ingest.unread import Unread
from tasks.logs import formats
from tasks.logs.files.lines import MAX_KEPT_BYTES
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import LogStream, open_stream
from tasks.logs.files.sources import find_files
from tasks.logs.formats import AnyFormat, Format, openai_batch
from tasks.logs.reading.batch_inputs import requests_for
from tasks.logs.reading.batches import batches
from tasks.logs.reading.locate import Located, Reading
from tasks.logs.reading.processes import num_processes, parse_with_processes
from tasks.logs.reading.recognise import Recognised, recognise_file
from tasks.logs.reading.worker import Assignment
from tasks.logs.shapes.records import Dead
from tasks.logs.shapes.rows import Reader
from tasks.model.window import OPEN, Window
from tasks.run import Run
from tasks.settings import IngestSettings
from tasks.store import Store
from tasks.store.held import dead_letters as deadletters
from tasks.store.intake import sources as readings
from tasks.store.intake.readings import Batch, Counts, Intake

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

    def open_again() -> AbstractContextManager[LogStream]:
        return open_stream(file, limits.max_decompressed_bytes, limits.max_compression_ratio)

    seen = recognise_file(open_again, file.path, limits, forced)
    seen = with_requests(seen, file, limits, files)
    parser = seen.format
    reader = Reader(
        path=file.source,
        format=_format_name(seen, forced),
        parser_version=(parser.VERSION if parser else formats.unknown_version(limits.columns)),
        run_id=run.run_id,
        now=run.clock(),
        window=window,
    )
    start = _start(unread, seen, reader)
    superseded = _superseded(store, unread, seen, start)
    intake = Intake(store)
    intake.counts.bytes_done = file.size_bytes
    with open_again() as stream:
        intake.take(_batches(run, stream, seen, file, reader, start))
        digest = unread.digest or stream.digest()
    deadletters.mark_replayed(store, sorted(superseded - intake.dead_ids))
    readings.add_reading(store, _row(unread, digest, reader, intake.counts, start))


def with_requests(
    seen: Recognised, file: LogFile, limits: IngestSettings, files: Sequence[LogFile] | None = None
) -> Recognised:
    """The output of a batch together with its questions, from `files` or those beside it."""
    if seen.format is None or seen.format.NAME != openai_batch.NAME:
        return seen
    beside = find_files([str(file.path.parent)]).files if files is None else files
    asked = requests_for(file, beside, limits)
    return replace(seen, format=openai_batch.WithRequests(asked)) if asked else seen


def _format_name(seen: Recognised, forced: AnyFormat | None) -> str:
    if seen.format is not None:
        return seen.format.NAME
    return forced.NAME if forced is not None else formats.UNKNOWN


def _start(unread: Unread, seen: Recognised, reader: Reader) -> int:
    """Only lines can be appended to; a document or table that grew is another one."""
    last = unread.appended_to
    if last is None or seen.syntax != "lines" or last.format != reader.format:
        return 0
    return last.bytes_done


def _superseded(store: Store, unread: Unread, seen: Recognised, start: int) -> set[str]:
    """Dead letters whose bytes this reading looks at once more."""
    source = unread.file.source
    if unread.appended_to is not None and start:
        return deadletters.waiting_at(store, source, start)
    waiting = deadletters.waiting_at(store, source, 0) if unread.appended_to is not None else set()
    return waiting | (deadletters.whole_files(store, source) if seen.format is not None else set())


def _batches(
    run: Run, stream: LogStream, seen: Recognised, file: LogFile, reader: Reader, start: int
) -> Iterator[Batch]:
    """What the file brings from byte `start` on. Lines of a large plain file are parsed apart."""
    limits = run.settings.ingest
    if seen.format is None:
        yield from _unrecognised(seen, file, reader)
        return
    count = num_processes(limits.processes)
    large = file.size_bytes - start >= _MIN_BYTES_FOR_PROCESSES and not stream.is_compressed
    by_name = seen.format is formats.by_name(reader.format, limits.columns)
    if seen.syntax == "lines" and large and count > 1 and by_name:
        depth = limits.max_json_depth
        work = Assignment(file.path, reader.format, reader, limits.max_line_bytes, depth)
        yield from parse_with_processes(stream, start, work, count)
        return
    parser = seen.format if isinstance(seen.format, Format) else None
    reading = Reading(parser, limits.max_line_bytes, limits.max_json_depth)
    found = located(reading, stream, seen, file, start)
    yield from batches(found, reader, lambda: reading.bytes_done)


def _unrecognised(seen: Recognised, file: LogFile, reader: Reader) -> Iterator[Batch]:
    """One dead letter for the whole file; an empty file has nothing to keep."""
    if seen.reason:
        dead = Located(Dead(seen.reason), None, 0, "#1", seen.head[:MAX_KEPT_BYTES])
        yield from batches([dead], reader, lambda: file.size_bytes)


def located(
    reading: Reading, stream: LogStream, seen: Recognised, file: LogFile, start: int
) -> Iterable[Located]:
    if seen.syntax == "lines":
        return reading.lines(stream, start)
    if seen.format is not None and not isinstance(seen.format, Format):
        return reading.text(stream, seen.format.reader(), file.size_bytes)
    if seen.syntax == "parquet":
        return reading.parquet(file.path, file.size_bytes)
    if seen.syntax == "csv":
        return reading.csv(stream, seen.delimiter)
    return reading.document(seen.document, file.size_bytes)


def _row(
    unread: Unread, digest: str, reader: Reader, counts: Counts, start: int
) -> dict[str, object]:
    """The row of `sources`; its window and call times are of the file, not of its tail alone."""
    file, last = unread.file, unread.appended_to if start else None
    if last is not None:
        counts.met_calls(last.first_call_at, last.last_call_at)
    took_all = counts.outside_window == 0 and (last is None or unread.is_whole)
    window = OPEN if took_all else reader.window
    return {
        "path": reader.path,
        "digest": digest,
        "size_bytes": file.size_bytes,
        "mtime_ns": file.mtime_ns,
        "bytes_done": counts.bytes_done,
        "format": reader.format,
        "parser_version": reader.parser_version,
        "rows_in": counts.rows_in,
        "rows_out": counts.rows_out,
        "duplicates": counts.duplicates,
        "dead_letters": counts.dead_letters,
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "other_spans": counts.other_spans,
        "run_id": reader.run_id,
        "read_at": reader.now,
        "etag": file.etag,
        "since": window.since,
        "until": window.until,
        "outside_window": counts.outside_window,
        "first_call_at": counts.first_call_at,
        "last_call_at": counts.last_call_at,
        "changed": unread.changed,
    }
