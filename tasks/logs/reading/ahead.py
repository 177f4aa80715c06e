"""A LogReader whose files were read ahead by workers elsewhere, as far as they could.

The files are given to them in the order in which they will be opened: small ones several at once,
a large one of plain lines in pieces, which are cut here. What is no file of theirs, and whatever
they leave, is read here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from tasks.logs import formats
from tasks.logs.files.log_file import LogFile, UnreadableLogError
from tasks.logs.formats import AnyFormat
from tasks.logs.reading.batches import cap_of
from tasks.logs.reading.elsewhere import (
    Begun,
    FileAnswer,
    NotRead,
    Parcel,
    Piece,
    ReadFiles,
    ReadTo,
)
from tasks.logs.reading.here import Found
from tasks.logs.reading.lines_wanted import LinesWanted
from tasks.logs.reading.reader import Cutting, LogReader, NotReadThereError, OpenLog
from tasks.logs.shapes.rows import Provenance
from tasks.store.intake.readings import DeadCap, LogRows
from tasks.workers.work import Told, Work

#: of files as they lie; one that is larger goes alone
_PARCEL_BYTES = 4 * 2**20
_PARCEL_FILES = 200


class Giving:
    """What the workers are given: all files in order, none twice."""

    def __init__(self, reader: LogReader, job: ReadFiles, clock: Callable[[], datetime]) -> None:
        self._reader = reader
        self._job = job
        self._clock = clock
        self._forced = formats.by_name(job.made_by.forced or "", job.limits.tables)
        #: as what those were recognised that went in pieces
        self.found: dict[str, Found] = {}

    def items(self, files: Sequence[LogFile]) -> Iterator[Parcel | Piece]:
        some: list[LogFile] = []
        num_bytes = 0
        for file in files:
            cutting = self._cutting(file)
            is_full = num_bytes + file.size_bytes > _PARCEL_BYTES or len(some) >= _PARCEL_FILES
            if some and (is_full or cutting is not None):
                yield Parcel(tuple(some), self._clock())
                some, num_bytes = [], 0
            if cutting is not None:
                yield from self._pieces(file, cutting)
            else:
                some.append(file)
                num_bytes += file.size_bytes
        if some:
            yield Parcel(tuple(some), self._clock())

    def _cutting(self, file: LogFile) -> Cutting | None:
        if file.remote is not None:
            return None
        try:
            return self._reader.cut(file, self._forced)
        except UnreadableLogError:
            return None  # it is told where it is read

    def _pieces(self, file: LogFile, cutting: Cutting) -> Iterator[Piece]:
        job, found = self._job, cutting.found
        self.found[file.source] = found
        commands = cutting.commands(
            job.made_by.of(file, found, self._clock()),
            cap_of(job.limits),
            is_forced=job.made_by.forced is not None,
        )
        last = next(commands)
        for command in commands:
            yield Piece(last)
            last = command
        yield Piece(last, cutting.digest)


class AheadReader:
    """Opens `files`, which the workers read, each once, in this order, and all others here.

    Raises FlywheelError where Ray does not answer any more, and NotReadThereError, once, for a file
    that the workers leave.
    """

    def __init__(
        self,
        reader: LogReader,
        work: Work,
        job: ReadFiles,
        files: Sequence[LogFile],
        clock: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._giving = Giving(reader, job, clock)
        self._told = work.through(self._giving.items(files))
        self._waiting = deque(files)
        self._sources = {file.source for file in files}
        self._answers: deque[FileAnswer] = deque()
        self._num_left = 0
        self._item: Parcel | Piece | None = None
        self._in_pieces = ""
        self._open: _LogAhead | None = None
        self._failure: Exception | None = None
        self.num_workers = work.num_workers
        self.num_read = 0

    def has(self, file: LogFile) -> bool:
        return file.source in self._sources

    def open(self, file: LogFile, forced: AnyFormat | None) -> AbstractContextManager[OpenLog]:
        if not self.has(file):
            return self._reader.open(file, forced)
        return self._log_of(file)

    def open_small(
        self, file: LogFile, forced: AnyFormat | None
    ) -> AbstractContextManager[OpenLog] | None:
        if not self.has(file):
            return self._reader.open_small(file, forced)
        log = self._log_of(file)
        return log if log.is_small else None

    def answer(self) -> FileAnswer:
        """The next one of the workers."""
        if self._failure is not None:
            raise self._failure
        while not self._answers:
            try:
                self._take(next(self._told))
            except Exception as error:
                self._failure = error
                raise
        answer = self._answers.popleft()
        if isinstance(answer, ReadTo | NotRead):
            self._num_left -= 1
            self._sources.discard(self._waiting.popleft().source)
            self.num_read += isinstance(answer, ReadTo)
            self._open = None
        return answer

    def _take(self, told: Told[Parcel | Piece]) -> None:
        if isinstance(told.item, Piece):
            self._take_piece(told, told.item)
            return
        if told.item is not self._item:
            self._item, self._num_left = told.item, len(told.item.files)
        self._answers += told.answers
        if told.is_given_up:
            ended = sum(isinstance(each, ReadTo | NotRead) for each in told.answers)
            self._answers += [NotRead(_DIED)] * (self._num_left - ended)

    def _take_piece(self, told: Told[Parcel | Piece], piece: Piece) -> None:
        source = piece.command.file.source
        if source not in self._sources:  # what a piece before left is read here with all of it
            return
        if source != self._in_pieces:
            self._in_pieces = source
            self._answers.append(Begun(self._giving.found[source], is_small=False))
        self._answers += told.answers
        if any(isinstance(each, NotRead) for each in told.answers):
            return
        if told.is_given_up:
            self._answers.append(NotRead(_DIED))
        elif told.is_last and piece.digest:
            self._answers.append(ReadTo(piece.digest))

    def _log_of(self, file: LogFile) -> _LogAhead:
        while self._waiting[0].source != file.source:  # nobody opened it
            self.answer()
        if self._open is None:
            begun = self.answer()
            if isinstance(begun, NotRead):
                raise NotReadThereError(begun.reason)
            assert isinstance(begun, Begun), begun
            self._open = _LogAhead(self, begun)
        return self._open


_DIED = "workers that read it died"


class _LogAhead:
    """A file that a worker has read, or is at."""

    def __init__(self, reader: AheadReader, begun: Begun) -> None:
        self._reader = reader
        self._is_read = False
        self._digest = ""
        self.found = begun.found
        self.is_small = begun.is_small

    def __enter__(self) -> _LogAhead:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """What was not asked for is passed over, unless all ends."""
        while not self._is_read and (kind is None or issubclass(kind, Exception)):
            self._answer()

    def join(self, files: Sequence[LogFile] | None) -> None:
        """It was, where it was read."""

    def rows(
        self, made_by: Provenance, cap: DeadCap, start: int = 0, only: LinesWanted | None = None
    ) -> Iterator[LogRows]:
        assert not start, "files that are new are read ahead"
        assert only is None, "and whole"
        while not self._is_read:
            answer = self._answer()
            if isinstance(answer, LogRows):
                yield answer
            elif isinstance(answer, NotRead):
                raise NotReadThereError(answer.reason)

    def digest(self) -> str:
        assert self._digest, "its rows are read"
        return self._digest

    def _answer(self) -> FileAnswer:
        try:
            answer = self._reader.answer()
        except BaseException:
            self._is_read = True
            raise
        self._is_read = isinstance(answer, ReadTo | NotRead)
        if isinstance(answer, ReadTo):
            self._digest = answer.digest
        return answer
