"""A log file opened and parsed in this process: recognised, then its rows in batches."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tasks.logs import formats
from tasks.logs.files.log_file import LogFile
from tasks.logs.formats import AnyFormat, Format
from tasks.logs.formats.table import Mapped
from tasks.logs.reading.batch_inputs import with_requests
from tasks.logs.reading.batches import rows_of
from tasks.logs.reading.locate import Reading
from tasks.logs.reading.recognise import open_log, recognise_file
from tasks.logs.reading.recognised import Syntax
from tasks.logs.reading.taking import Way
from tasks.logs.shapes.rows import Provenance
from tasks.settings import IngestSettings
from tasks.store.intake.readings import DeadCap, LogRows


@dataclass(frozen=True, slots=True)
class Found:
    """What a file was recognised as. `format` None: as nothing. `by_itself`: every line of it
    means what it says, whatever stands elsewhere. `is_mixed`: as in `Recognised`."""

    syntax: Syntax
    format: str | None
    parser_version: str
    is_encoded: bool = False
    by_itself: bool = False
    is_mixed: bool = False


class LogHere:
    """One file, for the length of a `with` block. `heard` is called whenever it is read on.

    Raises UnreadableLogError where the file system refuses it.
    """

    def __init__(
        self,
        file: LogFile,
        limits: IngestSettings,
        forced: AnyFormat | None,
        heard: Callable[[], object] | None = None,
    ) -> None:
        self._file = file
        self._limits = limits
        self._forced = forced
        self._heard = heard
        self._stack = ExitStack()

    def __enter__(self) -> LogHere:
        self._seen = recognise_file(self._file, self._limits, self._forced, self._heard)
        self._stream = self._stack.enter_context(open_log(self._file, self._limits, self._heard))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def found(self) -> Found:
        seen, tables = self._seen, self._limits.tables
        name = None if seen.format is None else seen.format.NAME
        plain = seen.format is not None and seen.format is formats.by_name(seen.format.NAME)
        version = formats.version_of(seen.format, tables)
        by_itself = plain and seen.syntax == "lines" and not seen.is_wrapped
        return Found(seen.syntax, name, version, self._stream.is_encoded, by_itself, seen.is_mixed)

    def join(self, files: Sequence[LogFile] | None) -> None:
        """Take what explains this file from `files`; None: from those beside it."""
        self._seen = with_requests(self._seen, self._file, self._limits, files)

    def rows(
        self,
        made_by: Provenance,
        cap: DeadCap,
        start: int = 0,
        only: Container[int] | None = None,
    ) -> Iterator[LogRows]:
        """Once. `start` and `only`: as for `Reading.records`."""
        seen, limits = self._seen, self._limits
        way = None
        if isinstance(seen.format, Format):
            is_table = isinstance(seen.format, Mapped)
            way = Way(seen.format, seen.is_forced or is_table, seen.is_mixed)
        reading = Reading(way, limits)
        located = reading.records(seen, self._stream, self._file, start, only)
        return rows_of(located, made_by, lambda: reading.bytes_done, cap)

    def digest(self) -> str:
        """sha256 of the file, once its rows are read."""
        return self._stream.digest()
