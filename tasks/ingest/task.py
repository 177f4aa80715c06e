"""Ingest: log files → landing, feedback, dead letters and sources.

Every file's rows are committed with its row in `sources`, of small files many at once: a run killed
anywhere goes on with those that are not, and the receipt is summed from `sources`, so it equals
that of an undisturbed run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tasks.ingest.in_turn import InTurn
from tasks.ingest.one_file import Job
from tasks.ingest.refused import MAX_TOLD, unread_files
from tasks.ingest.unread import Unreads
from tasks.logs import formats
from tasks.logs.files import spool
from tasks.logs.files.log_file import LogFile, UnreadableLogError
from tasks.logs.files.sources import LogFiles, find_files
from tasks.logs.reading.ahead import AheadReader
from tasks.logs.reading.elsewhere import ReadFiles
from tasks.logs.reading.reader import LogReader
from tasks.logs.reading.recognise import forced_format
from tasks.logs.shapes import merging
from tasks.model.receipt import Receipt
from tasks.model.window import Window
from tasks.on_ray.work import work_at
from tasks.processes import num_processes
from tasks.run import Run
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.intake import feedback, landing, reports, sessions
from tasks.store.intake import sources as readings
from tasks.store.intake.forgotten import read_forgotten
from tasks.store.intake.ids import safe_ids
from tasks.workers.work import named_count

STAGE = "ingest"
_PAIRS_AT_A_TIME = 2_000
#: of new files as they lie; less is read here before a worker is up
_MIN_BYTES_ELSEWHERE = 8 * 2**20


def ingest(run: Run) -> Receipt:
    """Take in what is new in the files of `run.request.logs`, of the calls in its window.

    A file that cannot be read is passed over and told. Raises UsageError where that is all of them,
    for a pattern that matches nothing, an unknown format name, a window that is none, and when no
    format recognises any of the files; StoreUnreachableError for a storage that does not answer.
    """
    tables, home = run.settings.ingest.tables, run.settings.home_path
    forced = forced_format(run.request.log_format, tables)
    spool.clear_downloads(home)
    with run.open_store() as store:
        wanted = run.window(store)
        logs = find_files(run.request.logs, home)
        unreads = Unreads(run, store, forced, wanted)
        with LogReader(run.settings.ingest) as reader:
            forgotten = read_forgotten(store, home)
            job = Job(run, store, reader, forced, wanted, logs.files, safe_ids(run), forgotten)
            with _reading_ahead(job, unreads) as (job, ahead):
                in_turn = InTurn(job, unreads)
                for number, file in enumerate(unreads.of_each(logs.files)):
                    run.progress(STAGE, number, len(logs.files), _name(file) + _by(ahead))
                    if not unreads.is_read(file):
                        in_turn.take(file)
                in_turn.finish()
        refused = [*logs.refused, *in_turn.refused]
        if refused and len(refused) == len(logs.files) + len(logs.refused):
            raise refused[0]
        run.progress(STAGE, len(logs.files), len(logs.files))
        unread = unread_files(run, store, logs)
        with store.transaction():
            _merge_reports(store, run.run_id)
            feedback.find_calls_of_spans(store)
            receipt = _receipt(run, store, logs, refused, wanted, unread, ahead)
            landing.note_sources(store)
            ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


@contextmanager
def _reading_ahead(job: Job, unreads: Unreads) -> Iterator[tuple[Job, AheadReader | None]]:
    """The job with a reader whose new files workers read ahead, where they are worth it; and that
    reader where it is worth telling, since its workers are elsewhere."""
    run = job.run
    place, num_here = run.settings.rows_run, num_processes(run.settings.ingest.processes)
    may_be = not place.is_here or (num_here > 1 and len(job.files) > 1)
    files = unreads.new(job.files) if may_be else []
    if sum(file.size_bytes for file in files) < _MIN_BYTES_ELSEWHERE:
        yield job, None
        return
    beside = tuple(file for file in job.files if file.remote is None)
    assert isinstance(job.reader, LogReader)
    reading = ReadFiles(run.settings.ingest, job.made_by, beside)
    with work_at(place, num_here, reading) as work:
        ahead = AheadReader(job.reader, work, reading, files, run.clock)
        yield replace(job, reader=ahead), None if place.is_here else ahead


def _by(ahead: AheadReader | None) -> str:
    return "" if ahead is None else f" · {named_count(ahead.num_workers)}"


def _name(file: LogFile) -> str:
    return file.source.rpartition("/")[2]


def _merge_reports(store: Store, run_id: str) -> None:
    """Calls that two logs tell of become one row each, whichever came first."""
    if readings.rows_by_format(store, run_id).keys() & set(merging.RETOLD):
        reports.drop_repeats(store, reports.repeats(store, run_id, merging.RETOLD), run_id)
    if landing.count_conflicts(store, run_id):
        _merge_pairs(store, run_id, reports.pairs_by_id(store, run_id))
    if readings.rows_by_format(store, run_id) and readings.num_formats(store) > 1:
        _merge_pairs(store, run_id, reports.pairs_by_shared_id(store, run_id))
        late = reports.late_reports(store, run_id, merging.MAX_APART)
        same = [report for report in late if merging.same_call(report.admitted, report.new)]
        reports.merge_late(store, same, run_id)


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
        reports.merge_pairs(store, merges, run_id)


def _receipt(
    run: Run,
    store: Store,
    logs: LogFiles,
    refused: Sequence[UnreadableLogError],
    wanted: Window,
    unread: Mapping[str, Any],
    ahead: AheadReader | None,
) -> Receipt:
    totals = readings.totals(store, run.run_id)
    conflicts = landing.count_conflicts(store, run.run_id)
    empty = [file.source for file in logs.files if file.size_bytes == 0]
    notes: dict[str, object] = {
        "files": len(logs.files),
        "new_files": totals.num_files,
        "skipped_files": len(logs.files) - totals.num_files,
        "by_format": readings.rows_by_format(store, run.run_id),
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "feedback": feedback.count_feedback(store, run.run_id),
        "other_spans": totals.other_spans,
    }
    if ahead is not None:
        notes["workers"] = {"num": ahead.num_workers, "files": ahead.num_read}
    if totals.forgotten:
        notes["forgotten"] = totals.forgotten
    if conflicts:
        notes["conflicts"] = conflicts
    if empty:
        notes["empty_files"] = empty
    if refused:
        notes["unreadable_files"] = [f"{error.received}: {error.what}" for error in refused]
    if unread:
        notes["unrecognised"] = unread
    num_without, without = readings.without_calls(store, run.run_id, formats.UNKNOWN, MAX_TOLD)
    if num_without:
        notes["without_calls"] = {"num": num_without, "files": without}
    num_with_keys, keys = readings.unread_keys(store, run.run_id, MAX_TOLD)
    if keys:
        notes["unread_keys"] = keys
    if num_with_keys > len(keys):
        notes["num_files_with_unread_keys"] = num_with_keys
    if talks := sessions.sessions_of(store, run.run_id):
        notes["sessions"] = talks.to_json()
    if changed := readings.changed_files(store, run.run_id):
        notes["changed_files"] = changed
    if not wanted.is_open:
        notes["window"] = wanted.to_json()
    if logs.links_out:
        notes["links_refused"] = [str(path) for path in logs.links_out]
    return Receipt(
        stage=STAGE,
        key=run.run_id,
        rows_in=totals.rows_in,
        rows_out=totals.rows_out,
        duplicates=totals.duplicates,
        dead_letters=totals.dead_letters,
        outside_window=totals.outside_window,
        notes=notes,
    )
