"""Dead letters read once more with the parsers of today.

Where the log file still begins with what was read then, they are read again in their place, so
that a row has its header and a span its resource; else the bytes that were kept are parsed. Calls
that the same lines gave before stay as they are: a parser that now reads more of them must not
rewrite what was evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.errors import UsageError
from tasks.ingest.one_file import located, with_requests
from tasks.logs import formats
from tasks.logs.files.log_file import LogFile, look_at
from tasks.logs.files.opening import LogStream, fingerprint, open_stream
from tasks.logs.formats import AnyFormat, Format
from tasks.logs.reading.batches import batches
from tasks.logs.reading.locate import Located, Reading
from tasks.logs.reading.recognise import recognise_file
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import Dead, UnreadableError
from tasks.logs.shapes.rows import Reader
from tasks.run import Run
from tasks.store import Store
from tasks.store.held import dead_letters as deadletters
from tasks.store.held.dead_letters import Letters
from tasks.store.intake import landing
from tasks.store.intake import sources as readings
from tasks.store.intake.readings import Batch, Counts, Intake

_LETTERS_AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class Revived:
    """Of the letters looked at, how many are still dead; `counts` of what the others came to."""

    still_dead: int
    counts: Counts


def read_again(run: Run, store: Store, letters: Letters, forced: AnyFormat | None) -> Revived:
    """Call it inside a transaction. `forced`: a format instead of the one tried then."""
    parser = forced or formats.by_name(letters.format, run.settings.ingest.columns)
    file = _as_it_was(store, letters)
    intake = Intake(store)
    if file is not None:
        intake.take(_from_file(run, store, letters, file, parser))
        still_dead = letters.units.keys() & intake.dead_ids
    else:
        alive: set[str] = set()
        if isinstance(parser, Format):
            found = _from_bytes(run, store, letters, parser, alive)
            intake.take(batches(found, _reader(run, letters.source, parser), lambda: 0))
        still_dead = letters.units.keys() - alive
    deadletters.mark_replayed(store, sorted(letters.units.keys() - still_dead))
    # intake takes a letter it knows for a duplicate; here it is the one that was looked at
    intake.counts.duplicates -= len(intake.dead_ids) - intake.counts.dead_letters
    return Revived(len(still_dead), intake.counts)


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
) -> Iterator[Batch]:
    limits = run.settings.ingest

    def open_again() -> AbstractContextManager[LogStream]:
        return open_stream(file, limits.max_decompressed_bytes, limits.max_compression_ratio)

    seen = with_requests(recognise_file(open_again, file.path, limits, parser), file, limits)
    reader = _reader(run, letters.source, seen.format)
    if seen.format is None:
        dead = Located(Dead(seen.reason), None, 0, "#1", seen.head)
        yield from batches([dead], reader, lambda: 0)
        return
    lines = {line for line, _ in letters.units.values()}
    wanted = {line for line in lines if line is not None}
    whole = None in lines  # a letter without a line stands somewhere in a document
    taken = landing.ids_from(store, letters.source, None if whole else sorted(wanted))
    format = seen.format if isinstance(seen.format, Format) else None
    reading = Reading(format, limits.max_line_bytes, limits.max_json_depth)
    with open_again() as stream:
        if seen.syntax == "lines" and not whole:
            found = reading.lines(stream, only=wanted)
        else:
            found = _only(located(reading, stream, seen, file, 0), None if whole else wanted)
        for batch in batches(found, reader, lambda: 0):
            yield _without(batch, taken)


def _only(found: Iterable[Located], lines: set[int] | None) -> Iterator[Located]:
    return (each for each in found if lines is None or each.line_number in lines)


def _without(batch: Batch, taken: set[str]) -> Batch:
    """The batch without calls of these ids."""
    ids = batch.calls["request_id"].to_pylist()
    fresh = np.fromiter((each not in taken for each in ids), dtype=np.bool_, count=len(ids))
    return replace(batch, calls=batch.calls.filter(pa.array(fresh)))


def _from_bytes(
    run: Run, store: Store, letters: Letters, parser: Format, alive: set[str]
) -> Iterator[Located]:
    """Records of the letters whose bytes can be read whole; their ids go into `alive`."""
    limits = run.settings.ingest
    found: list[Located] = []
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
            if not any(isinstance(each.record, Dead) for each in records):
                alive.add(letter_id)
                for each in records:
                    place = each.place if line is None else str(line)
                    found.append(Located(each.record, line, offset, place, b""))
    return iter(found)


def _reader(run: Run, source: str, parser: AnyFormat | None) -> Reader:
    unknown = formats.unknown_version(run.settings.ingest.columns)
    return Reader(
        path=source,
        format=parser.NAME if parser else formats.UNKNOWN,
        parser_version=parser.VERSION if parser else unknown,
        run_id=run.run_id,
        now=run.clock(),
    )
