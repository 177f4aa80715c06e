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
from tasks.logs.reading.batches import cap_of, rows_of
from tasks.logs.reading.lines_wanted import LinesWanted
from tasks.logs.reading.locate import Located, Reading
from tasks.logs.reading.reader import LogReader
from tasks.logs.reading.taking import Way
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import Dead, UnreadableError
from tasks.logs.shapes.rows import Provenance
from tasks.run import Run
from tasks.store import Store
from tasks.store.held import dead_letters as deadletters
from tasks.store.held.dead_letters import Letters
from tasks.store.intake import landing
from tasks.store.intake import sources as readings
from tasks.store.intake.forgotten import read_forgotten
from tasks.store.intake.ids import safe_ids, with_safe_ids
from tasks.store.intake.readings import DeadCap, LogRows
from tasks.store.intake.streaming import Intake

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
    run: Run,
    store: Store,
    reader: LogReader,
    letters: Letters,
    forced: AnyFormat | None,
    revived: Revived,
) -> None:
    """Counts into `revived`. `forced`: a format instead of the one tried then.

    Call it inside a transaction.
    """
    parser = forced or formats.by_name(letters.format, run.settings.ingest.tables)
    file = _as_it_was(store, letters)
    forgotten = read_forgotten(store, run.settings.home_path)
    intake = Intake(store, _cap(run, letters), safe_ids(run), forgotten)
    if file is not None:
        intake.take(_from_file(run, store, reader, letters, file, parser))
        still_dead = letters.units.keys() & intake.dead.keys()
    else:
        alive: set[str] = set()
        if isinstance(parser, Format):
            # all of them first: while rows go in, nothing else may ask the store
            records = list(_from_bytes(run, store, letters, parser, alive))
            made_by = _made_by(run, letters.source, parser.NAME, parser.VERSION)
            intake.take(rows_of(records, made_by, lambda: 0, DeadCap()))
        still_dead = letters.units.keys() - alive
    deadletters.mark_replayed(store, sorted(letters.units.keys() - still_dead))
    revived.tried += letters.num_records
    revived.still_dead += sum(letters.units[letter_id].num_records for letter_id in still_dead)
    revived.rows_out += intake.counts.rows_out
    revived.new_dead += intake.counts.dead_letters
    # intake takes a letter it knows for a duplicate; here it is the one that was looked at
    known = sum(intake.dead.values()) - intake.counts.dead_letters
    revived.duplicates += intake.counts.duplicates - known


def _cap(run: Run, letters: Letters) -> DeadCap:
    """So many letters as were kept each by itself then, so that the rest is the same one again."""
    rests = [unit for unit in letters.units.values() if unit.is_rest]
    if rests:
        first = min(unit.byte_offset for unit in rests)
        return DeadCap(sum(unit.byte_offset <= first and not unit.is_rest
                           for unit in letters.units.values()))  # fmt: skip
    whole = any(unit.line_number is None for unit in letters.units.values())
    return cap_of(run.settings.ingest) if whole else DeadCap()


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
    run: Run,
    store: Store,
    reader: LogReader,
    letters: Letters,
    file: LogFile,
    parser: AnyFormat | None,
) -> Iterator[LogRows]:
    lines = _lines(letters)
    taken = landing.ids_from(store, letters.source, None if lines is None else lines.all_ranges)
    safe_id = safe_ids(run)
    with reader.open(file, parser) as log:
        log.join(None)
        found = log.found
        made_by = _made_by(run, letters.source, found.format, found.parser_version)
        for rows in log.rows(made_by, _cap(run, letters), only=lines):
            rows = replace(rows, calls=with_safe_ids(rows.calls, safe_id))
            ids = rows.calls["request_id"].to_pylist()
            fresh = pa.array([request_id not in taken for request_id in ids], type=pa.bool_())
            yield replace(rows, calls=rows.calls.filter(fresh))


def _lines(letters: Letters) -> LinesWanted | None:
    """None: all, since a letter without a line stands somewhere in a document."""
    numbers: set[int] = set()
    ranges: list[tuple[int, int]] = []
    for unit in letters.units.values():
        if unit.line_number is None:
            return None
        if unit.is_rest and unit.last_line is not None:
            ranges.append((unit.line_number, unit.last_line))
        else:
            numbers.add(unit.line_number)
    return LinesWanted(frozenset(numbers), tuple(ranges))


def _from_bytes(
    run: Run, store: Store, letters: Letters, parser: Format, alive: set[str]
) -> Iterator[Located]:
    """Records of the letters whose bytes can be read whole; their ids go into `alive`."""
    limits = run.settings.ingest
    ids = list(letters.units)
    for start in range(0, len(ids), _LETTERS_AT_A_TIME):
        raw = deadletters.raw_bytes(store, ids[start : start + _LETTERS_AT_A_TIME])
        for letter_id, data in raw.items():
            unit = letters.units[letter_id]
            line, offset = unit.line_number, unit.byte_offset
            reading = Reading(Way(parser), limits)
            try:
                records = list(reading.documents([parse(data, limits.max_json_depth)], 0))
            except UnreadableError:
                continue
            if not any(isinstance(located.record, Dead) for located in records):
                alive.add(letter_id)
                for located in records:
                    place = located.place if line is None else str(line)
                    yield Located(located.record, line, offset, place, b"")


def _made_by(run: Run, source: str, name: str | None, version: str) -> Provenance:
    return Provenance(source, name or formats.UNKNOWN, version, run.run_id, run.clock())
