"""Ingest: log files → landing, feedback, dead letters and sources.

One transaction a file, with its row in `sources`: a run killed anywhere goes on with the next
file, and the receipt is summed from `sources`, so it equals that of an undisturbed run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tasks.errors import UsageError
from tasks.ingest import formats, merging
from tasks.ingest.batch_inputs import requests_for
from tasks.ingest.batches import batches
from tasks.ingest.formats import AnyFormat, Format, openai_batch, table
from tasks.ingest.lines import MAX_KEPT_BYTES
from tasks.ingest.opening import LogStream, fingerprint, open_stream
from tasks.ingest.processes import num_processes, parse_with_processes
from tasks.ingest.reading import Located, Reading
from tasks.ingest.recognise import Recognised, recognise_file
from tasks.ingest.records import Dead
from tasks.ingest.rows import Reader
from tasks.ingest.sources import Found, LogFile, find_files
from tasks.ingest.worker import Assignment
from tasks.receipts import Receipt
from tasks.run import Run
from tasks.settings import IngestSettings
from tasks.store import Store, deadletters, feedback, landing, ledger, reports
from tasks.store import sources as readings
from tasks.store.intake import Batch, Counts, Intake
from tasks.store.sources import LastReading

STAGE = "ingest"
_PAIRS_AT_A_TIME = 2_000
#: of the database; parsing takes about as much again
_MAX_STORE_BYTES = 768 * 2**20
#: starting processes takes as long as parsing this much in one
_MIN_BYTES_FOR_PROCESSES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class _Todo:
    """A file that has something new, and the reading to go on from.

    `digest` of its content, where it had to be known before reading.
    """

    file: LogFile
    digest: str | None
    appended_to: LastReading | None


def ingest(run: Run) -> Receipt:
    """Take in what is new in the files of `run.request.logs`.

    Raises UsageError for a pattern that matches nothing, a file that cannot be opened, an unknown
    format name, and when no format recognises any of the files.
    """
    columns = run.settings.ingest.columns
    forced = forced_format(run.request.log_format, columns)
    found = find_files(run.request.logs)
    with run.open_store() as store:
        store.hold_memory(_MAX_STORE_BYTES)
        for number, file in enumerate(found.files):
            run.progress(STAGE, number, len(found.files), file.path.name)
            todo = _what_is_new(run, store, file, forced)
            if todo is not None:
                with store.transaction():
                    _take_in(run, store, todo, forced, found.files)
        run.progress(STAGE, len(found.files), len(found.files))
        _refuse_if_none_recognised(store, found)
        with store.transaction():
            _merge_reports(store, run.run_id)
            receipt = _receipt(run, store, found)
            landing.note_sources(store)
            ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def forced_format(name: str, columns: Mapping[str, str]) -> AnyFormat | None:
    if name in ("", "auto"):
        return None
    if name == table.NAME and not columns:
        raise UsageError(
            "a table's columns are not named",
            received=f"--format {name}",
            next='[ingest.columns] of flywheel.toml, for example started_at = "TIMESTAMP"',
        )
    found = formats.by_name(name, columns)
    if found is None:
        near = difflib.get_close_matches(name, formats.NAMES, n=1, cutoff=0.4)
        raise UsageError(
            f"unknown log format {name!r}" + (f": did you mean {near[0]!r}?" if near else ""),
            received=name,
            allowed=", ".join(("auto", *formats.NAMES)),
            next="leave --format out to have it recognised by content",
        )
    return found


def _what_is_new(run: Run, store: Store, file: LogFile, forced: AnyFormat | None) -> _Todo | None:
    """None where the file holds nothing that was not taken in before."""
    path = str(file.path)
    last = readings.last_reading(store, path)
    if last is None:
        return _Todo(file, None, None)
    version = formats.unknown_version(run.settings.ingest.columns)
    again = _must_retry(last, forced, version)
    if (last.size_bytes, last.mtime_ns) == (file.size_bytes, file.mtime_ns) and not again:
        return None
    prints = fingerprint(file, last.size_bytes if last.size_bytes <= file.size_bytes else None)
    same = readings.reading_of(store, path, prints.digest)
    if same is not None and not _must_retry(same, forced, version):
        with store.transaction():
            readings.touch(store, path, prints.digest, file.mtime_ns, run.clock())
        return None
    grown = prints.prefix_digest == last.digest and last.size_bytes < file.size_bytes
    return _Todo(file, prints.digest, last if grown and not again else None)


def _must_retry(last: LastReading, forced: AnyFormat | None, unknown_version: str) -> bool:
    """A file that nothing recognised, once there are other parsers; or another format is forced."""
    if forced is not None:
        return last.format != forced.NAME
    return last.format == formats.UNKNOWN and last.parser_version != unknown_version


def _take_in(
    run: Run, store: Store, todo: _Todo, forced: AnyFormat | None, files: Sequence[LogFile]
) -> None:
    limits, file = run.settings.ingest, todo.file

    def open_again() -> AbstractContextManager[LogStream]:
        return open_stream(file, limits.max_decompressed_bytes, limits.max_compression_ratio)

    seen = recognise_file(open_again, file.path, limits, forced)
    seen = with_requests(seen, file, limits, files)
    parser = seen.format
    reader = Reader(
        path=str(file.path),
        format=_format_name(seen, forced),
        parser_version=(parser.VERSION if parser else formats.unknown_version(limits.columns)),
        run_id=run.run_id,
        now=run.clock(),
    )
    start = _start(todo, seen, reader)
    superseded = _superseded(store, todo, seen, start)
    intake = Intake(store)
    intake.counts.bytes_done = file.size_bytes
    with open_again() as stream:
        intake.take(_batches(run, stream, seen, file, reader, start))
        digest = todo.digest or stream.digest()
    deadletters.mark_replayed(store, sorted(superseded - intake.dead_ids))
    readings.add_reading(store, _reading_row(file, digest, reader, intake.counts))


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


def _start(todo: _Todo, seen: Recognised, reader: Reader) -> int:
    """Only lines can be appended to; a document or table that grew is another one."""
    last = todo.appended_to
    if last is None or seen.syntax != "lines" or last.format != reader.format:
        return 0
    return last.bytes_done


def _superseded(store: Store, todo: _Todo, seen: Recognised, start: int) -> set[str]:
    """Dead letters whose bytes this reading looks at once more."""
    path = str(todo.file.path)
    if todo.appended_to is not None and start:
        return deadletters.waiting_at(store, path, start)
    waiting = deadletters.waiting_at(store, path, 0) if todo.appended_to is not None else set()
    return waiting | (deadletters.whole_files(store, path) if seen.format is not None else set())


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


def _reading_row(file: LogFile, digest: str, reader: Reader, counts: Counts) -> dict[str, object]:
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
    }


def _refuse_if_none_recognised(store: Store, found: Found) -> None:
    """Their dead letters are committed by now; the run stops, because nothing was meant."""
    last = [readings.last_reading(store, str(file.path)) for file in found.files]
    unknown = [each for each in last if each is not None and each.format == formats.UNKNOWN]
    filled = [each for each in last if each is not None and each.size_bytes]
    if filled and len([each for each in unknown if each.size_bytes]) == len(filled):
        raise UsageError(
            "no log format recognises any of the files"
            if len(filled) > 1
            else "no log format recognises the file",
            received=_some([file.path.name for file in found.files if file.size_bytes]),
            allowed=", ".join(formats.NAMES),
            next="flywheel run --format NAME to force one; the reason stands in dead_letters",
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _merge_reports(store: Store, run_id: str) -> None:
    """Calls that two logs of this run tell of become one row each."""
    if landing.count_conflicts(store, run_id):
        _merge_pairs(store, run_id, reports.pairs_by_id(store, run_id))
    if len(readings.rows_by_format(store, run_id)) > 1:
        _merge_pairs(store, run_id, reports.pairs_by_shared_id(store, run_id))


def _merge_pairs(store: Store, run_id: str, pairs: Sequence[reports.Pair]) -> None:
    for start in range(0, len(pairs), _PAIRS_AT_A_TIME):
        some = pairs[start : start + _PAIRS_AT_A_TIME]
        rows = reports.fetch(store, [number for pair in some for number in pair])
        merges = []
        for first, second in some:
            if merging.same_call(rows[first], rows[second]):
                kept, other = merging.in_order(rows[first], rows[second])
                row = merging.merged(kept, other)
                merges.append(reports.Merge((first, second), row, kept, other))
        reports.merge(store, merges, run_id)


def _receipt(run: Run, store: Store, found: Found) -> Receipt:
    totals = readings.totals(store, run.run_id)
    conflicts = landing.count_conflicts(store, run.run_id)
    empty = [str(file.path) for file in found.files if file.size_bytes == 0]
    notes: dict[str, object] = {
        "files": len(found.files),
        "new_files": totals.num_files,
        "skipped_files": len(found.files) - totals.num_files,
        "by_format": readings.rows_by_format(store, run.run_id),
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "feedback": feedback.count_feedback(store, run.run_id),
        "other_spans": totals.other_spans,
    }
    if conflicts:
        notes["conflicts"] = conflicts
    if empty:
        notes["empty_files"] = empty
    if found.links_out:
        notes["links_refused"] = [str(path) for path in found.links_out]
    return Receipt(
        stage=STAGE,
        key=run.run_id,
        rows_in=totals.rows_in,
        rows_out=totals.rows_out,
        duplicates=totals.duplicates,
        dead_letters=totals.dead_letters,
        notes=notes,
    )
