"""Dead letters read once more with the parsers of today.

Where the log file still begins with what was read then, they are read again in their place, so
that a row has its header and a span its resource; else the bytes that were kept are parsed. Calls
that the same lines gave before stay as they are: a parser that now reads more of them must not
rewrite what was evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from tasks.errors import UsageError
from tasks.logs import formats
from tasks.logs.files.log_file import LogFile, look_at
from tasks.logs.files.opening import fingerprint
from tasks.logs.formats import AnyFormat, Format
from tasks.logs.reading.batch_inputs import with_requests
from tasks.logs.reading.batches import rows_of
from tasks.logs.reading.locate import Located, Reading
from tasks.logs.reading.recognise import open_log, recognise_file
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import Dead, UnreadableError
from tasks.logs.shapes.rows import Provenance
from tasks.run import Run
from tasks.store import Store
from tasks.store.held import dead_letters as deadletters
from tasks.store.held.dead_letters import Letters
from tasks.store.intake import landing
from tasks.store.intake import sources as readings
from tasks.store.intake.ids import safe_ids, with_safe_ids
from tasks.store.intake.readings import Intake, LogRows

_LETTERS_AT_A_TIME = 500


@dataclass(slots=True)
class Revived:
    """Letters looked at, those still dead, and what the others came to."""

    tried: int = 0
    still_dead: int = 0
    rows_out: int = 0
    duplicates: int = 0
    new_dead: int = 0


def read_again(
    run: Run, store: Store, letters: Letters, forced: AnyFormat | None, revived: Revived
) -> None:
    """Counts into `revived`. `forced`: a format instead of the one tried then.

    Call it inside a transaction.
    """
    parser = forced or formats.by_name(letters.format, run.settings.ingest.columns)
    file = _as_it_was(store, letters)
    intake = Intake(store, safe_ids(run))
    if file is not None:
        intake.take(_from_file(run, store, letters, file, parser))
        still_dead = letters.units.keys() & intake.dead_ids
    else:
        alive: set[str] = set()
        if isinstance(parser, Format):
            # all of them first: while rows go in, nothing else may ask the store
            records = list(_from_bytes(run, store, letters, parser, alive))
            intake.take(rows_of(records, _made_by(run, letters.source, parser), lambda: 0))
        still_dead = letters.units.keys() - alive
    deadletters.mark_replayed(store, sorted(letters.units.keys() - still_dead))
    revived.tried += len(letters.units)
    revived.still_dead += len(still_dead)
    revived.rows_out += intake.counts.rows_out
    revived.new_dead += intake.counts.dead_letters
    # intake takes a letter it knows for a duplicate; here it is the one that was looked at
    known = len(intake.dead_ids) - intake.counts.dead_letters
    revived.duplicates += intake.counts.duplicates - known


def _as_it_was(store: Store, letters: Letters) -> LogFile | None:
    """The log file as far as it was read then; None where it is gone or has become another."""
    then = readings.reading_in(store, letters.source, letters.run_id)
    if then is None:
        return None
    try:
        now = look_at(Path(letters.source))
        file = replace(now, size_bytes=then.size_bytes)
        same = now.size_bytes >= then.size_bytes and fingerprint(file).digest == then.digest
    except UsageError:
        return None
    return file if same else None


def _from_file(
    run: Run, store: Store, letters: Letters, file: LogFile, parser: AnyFormat | None
) -> Iterator[LogRows]:
    limits = run.settings.ingest
    seen = with_requests(recognise_file(file, limits, parser), file, limits)
    lines = {line for line, _ in letters.units.values()}
    wanted = {line for line in lines if line is not None}
    whole = None in lines  # a letter without a line stands somewhere in a document
    taken = landing.ids_from(store, letters.source, None if whole else sorted(wanted))
    format = seen.format if isinstance(seen.format, Format) else None
    reading = Reading(format, limits.max_line_bytes, limits.max_json_depth)
    safe_id = safe_ids(run)
    with open_log(file, limits) as stream:
        records = reading.records(seen, stream, file, only=None if whole else wanted)
        for rows in rows_of(records, _made_by(run, letters.source, seen.format), lambda: 0):
            rows = replace(rows, calls=with_safe_ids(rows.calls, safe_id))
            ids = rows.calls["request_id"].to_pylist()
            fresh = pa.array([request_id not in taken for request_id in ids], type=pa.bool_())
            yield replace(rows, calls=rows.calls.filter(fresh))


def _from_bytes(
    run: Run, store: Store, letters: Letters, parser: Format, alive: set[str]
) -> Iterator[Located]:
    """Records of the letters whose bytes can be read whole; their ids go into `alive`."""
    limits = run.settings.ingest
    ids = list(letters.units)
    for start in range(0, len(ids), _LETTERS_AT_A_TIME):
        raw = deadletters.raw_bytes(store, ids[start : start + _LETTERS_AT_A_TIME])
        for letter_id, data in raw.items():
            line, offset = letters.units[letter_id]
            reading = Reading(parser, limits.max_line_bytes, limits.max_json_depth)
            try:
                records = list(reading.document(parse(data, limits.max_json_depth), 0))
            except UnreadableError:
                continue
            if not any(isinstance(located.record, Dead) for located in records):
                alive.add(letter_id)
                for located in records:
                    place = located.place if line is None else str(line)
                    yield Located(located.record, line, offset, place, b"")


def _made_by(run: Run, source: str, parser: AnyFormat | None) -> Provenance:
    name = parser.NAME if parser else formats.UNKNOWN
    version = formats.version_of(parser, run.settings.ingest.columns)
    return Provenance(source, name, version, run.run_id, run.clock())
