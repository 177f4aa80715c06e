"""Log files read by a worker that may be on another machine: what it is given, what it answers.

It reads a file as an ingest here does, in its own processes with the same limits. What lies in
object storage it fetches itself; a file of the file system it reads where it sees the very same
one. What it cannot read it leaves to whoever asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tasks.errors import FlywheelError
from tasks.logs import formats
from tasks.logs.files import spool
from tasks.logs.files.log_file import LogFile, UnreadableLogError, look_at
from tasks.logs.reading.batch_inputs import may_join
from tasks.logs.reading.batches import cap_of
from tasks.logs.reading.commands import ParseStretch
from tasks.logs.reading.here import Found
from tasks.logs.reading.made_by import MadeBy
from tasks.logs.reading.reader import LogReader
from tasks.on_ray.driver import own_folder
from tasks.settings import IngestSettings
from tasks.store.intake.readings import LogRows


@dataclass(frozen=True, slots=True)
class Parcel:
    """Files that a worker reads one after the other; `now`: when they were given to it."""

    files: tuple[LogFile, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines from the middle of a large file. `digest`: of the file, with its last lines."""

    command: ParseStretch
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A file was recognised, its rows follow. `is_small`: as `LogReader.open_small` has it."""

    found: Found
    is_small: bool


@dataclass(frozen=True, slots=True)
class ReadTo:
    """All rows of a file were told. `digest`: of its content."""

    digest: str


@dataclass(frozen=True, slots=True)
class NotRead:
    """A file, or the rest of it, is left to whoever asked."""

    reason: str


_UNSEEN = "another file lies there, or none"

FileAnswer = Begun | LogRows | ReadTo | NotRead


@dataclass
class ReadFiles:
    """The job. `beside`: all files of the ingest that lie in a file system; some explain others."""

    limits: IngestSettings
    made_by: MadeBy
    beside: tuple[LogFile, ...] = field(repr=False)

    packages = ("pyarrow", "orjson", "pyyaml")

    def begin(self) -> None:
        # one a processor: the workers beside this one read other files
        self._reader = LogReader(self.limits.model_copy(update={"processes": 1}))
        self._forced = formats.by_name(self.made_by.forced or "", self.limits.tables)

    def answers(self, item: Parcel | Piece) -> Iterator[FileAnswer]:
        """Of each file Begun, LogRows and ReadTo, of a piece LogRows; or NotRead, which ends it at
        any place."""
        if isinstance(item, Piece):
            yield from self._left_where_broken(self._of_piece(item.command))
            return
        for file in item.files:
            yield from self._left_where_broken(self._of(file, item.now))

    def _left_where_broken(self, told: Iterator[FileAnswer]) -> Iterator[FileAnswer]:
        try:
            yield from told
        except (FlywheelError, OSError) as error:
            yield NotRead(f"{type(error).__name__}: {error}"[:300])

    def _of_piece(self, command: ParseStretch) -> Iterator[FileAnswer]:
        if _is_same(command.file):
            yield from self._reader.parse(command)
        else:
            yield NotRead(_UNSEEN)

    def _of(self, file: LogFile, now: datetime) -> Iterator[FileAnswer]:
        if file.remote is None and not _is_same(file):
            yield NotRead(_UNSEEN)
            return
        with ExitStack() as stack:
            is_remote = file.remote is not None
            folder = stack.enter_context(own_folder("fwread")) if is_remote else Path()
            here = stack.enter_context(spool.on_this_machine(file, folder))
            small = self._reader.open_small(here, self._forced)
            log = stack.enter_context(small or self._reader.open(here, self._forced))
            if may_join(log.found.format):
                beside = self._beside(file)
                if not all(map(_is_same, beside)):
                    yield NotRead("other files lie beside it there")
                    return
                log.join(beside)
            yield Begun(log.found, small is not None)
            made_by = self.made_by.of(file, log.found, now)
            yield from log.rows(made_by, cap_of(self.limits))
            yield ReadTo(log.digest())

    def _beside(self, file: LogFile) -> Sequence[LogFile]:
        if file.remote is not None:
            return ()
        return [each for each in self.beside if each.path.parent == file.path.parent]


def _is_same(file: LogFile) -> bool:
    """Whether it is seen here as it was where it was found."""
    try:
        here = look_at(file.path)
    except UnreadableLogError:
        return False
    return (here.size_bytes, here.mtime_ns) == (file.size_bytes, file.mtime_ns)
