"""Opens log files: small ones here, what may take much memory or time in a process with limits.

Python parses on one core only, so a large file of plain lines is parsed by several processes. It is
cut at line ends into stretches, which they read themselves; the rows come back as Arrow. Whoever
parses, the batches hold the same rows in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Protocol

from tasks.logs import formats
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import LogStream, fingerprint
from tasks.logs.formats import AnyFormat, Assembling, stream_pieces
from tasks.logs.formats.pairs import Pairs
from tasks.logs.reading.batch_inputs import may_join
from tasks.logs.reading.batches import dead_file, rows_of
from tasks.logs.reading.commands import (
    Command,
    Done,
    Join,
    OpenFile,
    ParseStretch,
    ReadRows,
    Stretch,
)
from tasks.logs.reading.here import Found, LogHere
from tasks.logs.reading.lines_wanted import LinesWanted
from tasks.logs.reading.processes import WorkerDiedError, Workers
from tasks.logs.reading.recognise import open_log
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import UnreadableError
from tasks.logs.shapes.rows import Provenance, dead_letter_row
from tasks.processes import in_order, num_processes
from tasks.settings import IngestSettings
from tasks.store.intake.readings import Counts, DeadCap, DeadRest, LogRows

#: content beyond this goes to a process; starting one takes as long as parsing some MiB
_SMALL_BYTES = 2**20
#: plain lines go on to be parsed here up to this much, if none of them is long
_MIN_BYTES_FOR_PROCESSES = 32 * 2**20
_STRETCH_BYTES = 4 * 2**20
_PARQUET = b"PAR1"


class OpenLog(Protocol):
    """A log file as it was recognised; its rows are read once, its digest behind them."""

    @property
    def found(self) -> Found: ...
    def join(self, files: Sequence[LogFile] | None) -> None: ...
    def rows(
        self, made_by: Provenance, cap: DeadCap, start: int = 0, only: LinesWanted | None = None
    ) -> Iterator[LogRows]: ...
    def digest(self) -> str: ...


class NotReadThereError(Exception):
    """A file that was to be read elsewhere was not, or not to its end: it is read here."""


class Reader(Protocol):
    """Opens the files of an ingest."""

    def has(self, file: LogFile) -> bool:
        """Whether it is read elsewhere, so that its bytes need not be on this machine."""
        ...

    def open(self, file: LogFile, forced: AnyFormat | None) -> AbstractContextManager[OpenLog]: ...
    def open_small(
        self, file: LogFile, forced: AnyFormat | None
    ) -> AbstractContextManager[OpenLog] | None: ...


class LogReader:
    """Opens the files of one ingest or replay, for the length of a `with` block."""

    def __init__(self, limits: IngestSettings) -> None:
        self._limits = limits
        self._workers = Workers(limits)

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.__exit__()

    def has(self, file: LogFile) -> bool:
        return False

    def open(self, file: LogFile, forced: AnyFormat | None) -> AbstractContextManager[OpenLog]:
        """Recognise the file. Raises UnreadableLogError where the file system refuses it."""
        if _is_small(file, self._limits):
            return LogHere(file, self._limits, forced)
        return _LogApart(file, self._limits, forced, self._workers)

    def cut(self, file: LogFile, forced: AnyFormat | None) -> Cutting | None:
        """How a large file of plain lines goes to several processes; None: it does not. Raises
        UnreadableLogError."""
        if file.size_bytes < _MIN_BYTES_FOR_PROCESSES:
            return None
        with _LogApart(file, self._limits, forced, self._workers) as log:
            is_cut = log.can_be_cut() and not may_join(log.found.format)
            return Cutting(file, self._limits, log.found) if is_cut else None

    def parse(self, command: ParseStretch) -> list[LogRows]:
        """Rows of a stretch, or the letter that says what its process died of."""
        return _parsed(self._workers, command)

    def open_small(self, file: LogFile, forced: AnyFormat | None) -> LogHere | None:
        """The same for one whose content is at most a MiB; None: it is not."""
        if file.size_bytes > _SMALL_BYTES or not _is_small(file, self._limits):
            return None
        return LogHere(file, self._limits, forced)


def _is_small(file: LogFile, limits: IngestSettings) -> bool:
    """Whether parsing takes little memory and time, whatever stands in the file."""
    with open_log(file, limits) as stream:
        content = b""
        while len(content) <= _SMALL_BYTES and (chunk := stream.read(_SMALL_BYTES)):
            content += chunk
        if _PARQUET in content:
            return False
        if len(content) <= _SMALL_BYTES:
            return True
        if stream.is_encoded or file.size_bytes >= _MIN_BYTES_FOR_PROCESSES:
            return False
        return _is_line(content, limits) and all(
            b"\n" in chunk or len(chunk) < _SMALL_BYTES
            for chunk in iter(lambda: stream.read(_SMALL_BYTES), b"")
        )


def _is_line(content: bytes, limits: IngestSettings) -> bool:
    """Whether the first line is JSON by itself, so that the others may be."""
    first, _, _ = content.lstrip().partition(b"\n")
    if len(first) == len(content):
        return False
    try:
        parse(first, limits.max_json_depth)
    except UnreadableError:
        return False
    return True


class _LogApart:
    """A file that other processes read. What they die of is a dead letter of it."""

    def __init__(
        self, file: LogFile, limits: IngestSettings, forced: AnyFormat | None, workers: Workers
    ) -> None:
        self._file = replace(file, remote=None)
        self._limits = limits
        self._forced = forced
        self._workers = workers
        self._stack = ExitStack()
        self._join: Join | None = None
        self._died_of = ""
        self._is_second_try = False
        self._digest = ""
        self.found = Found("lines", None, formats.version_of(None, limits.tables))

    def __enter__(self) -> _LogApart:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def join(self, files: Sequence[LogFile] | None) -> None:
        if not may_join(self.found.format) or self._died_of:
            return
        if files is not None:
            folder = self._file.path.parent
            files = tuple(file for file in files
                          if file.remote is None and file.path.parent == folder)  # fmt: skip
        self._join = Join(files)
        self._stack.close()
        self._open()

    def rows(
        self, made_by: Provenance, cap: DeadCap, start: int = 0, only: LinesWanted | None = None
    ) -> Iterator[LogRows]:
        count = num_processes(self._limits.processes)
        if count > 1 and only is None and self.can_be_cut(start):
            self._stack.close()
            yield from self._in_stretches(made_by, cap, start, count)
            return
        passed_on = 0
        while not self._died_of:
            try:
                answers = self._worker.ask(ReadRows(made_by, cap, start, only))
                for number, answer in enumerate(answers):
                    if isinstance(answer, Done):
                        self._digest = answer.digest
                        return
                    if isinstance(answer, LogRows) and number >= passed_on:
                        passed_on += 1
                        yield answer
            except WorkerDiedError as death:
                self._stack.close()
                self._try_again(death)
        yield from dead_file(self._file, f"the file cannot be parsed: {self._died_of}", made_by)

    def digest(self) -> str:
        return self._digest or fingerprint(self._file).digest

    def can_be_cut(self, start: int = 0) -> bool:
        """Whether what follows is worth several processes, and its lines mean the same in any."""
        is_large = self._file.size_bytes - start >= _MIN_BYTES_FOR_PROCESSES
        by_itself = self.found.by_itself and not self.found.is_encoded
        return is_large and by_itself and not self._has_streams()

    def _has_streams(self) -> bool:
        """Whether answers may stand in several lines: those of a stream hold one of these words."""
        format = formats.by_name(self.found.format or "")
        if not isinstance(format, Assembling):
            return False
        if not isinstance(format, Pairs):
            return True
        longest = max(map(len, stream_pieces.MARKERS))
        tail = b""
        with open_log(self._file, self._limits) as stream:
            while chunk := stream.read(_STRETCH_BYTES):
                data = tail + chunk
                if any(marker in data for marker in stream_pieces.MARKERS):
                    return True
                tail = data[-longest:]
        return False

    def _open(self) -> None:
        name = None if self._forced is None else self._forced.NAME
        commands: list[Command] = [OpenFile(self._file, self._limits, name)]
        if self._join is not None:
            commands.append(self._join)
        self._worker = self._stack.enter_context(self._workers.one())
        try:
            for command in commands:
                for answer in self._worker.ask(command):
                    if isinstance(answer, Found):
                        self.found = answer
        except WorkerDiedError as death:
            self._stack.close()
            self._try_again(death)

    def _try_again(self, death: WorkerDiedError) -> None:
        if death.is_killed and not self._is_second_try:
            self._is_second_try = True
            self._open()
        else:
            self._died_of = death.reason

    def _in_stretches(
        self, made_by: Provenance, cap: DeadCap, start: int, count: int
    ) -> Iterator[LogRows]:
        cutting = Cutting(self._file, self._limits, self.found)
        commands = cutting.commands(made_by, cap, start, is_forced=self._forced is not None)
        for rows in in_order(partial(_parsed, self._workers), commands, count, 2 * count):
            yield from rows
        self._digest = cutting.digest


class Cutting:
    """A large file of plain lines, cut at line ends."""

    def __init__(self, file: LogFile, limits: IngestSettings, found: Found) -> None:
        self._file = file
        self._limits = limits
        self.found = found
        #: of the file, once all of it is cut
        self.digest = ""

    def commands(
        self, made_by: Provenance, cap: DeadCap, start: int = 0, *, is_forced: bool
    ) -> Iterator[ParseStretch]:
        """One a stretch; the file is read for its line ends as they are asked for."""
        file, limits, is_mixed = self._file, self._limits, self.found.is_mixed
        with open_log(file, limits) as stream:
            for stretch in stretches(stream, start):
                yield ParseStretch(file, limits, made_by, cap, stretch, is_forced, is_mixed)
            self.digest = stream.digest()


def _parsed(workers: Workers, command: ParseStretch) -> list[LogRows]:
    for is_last in (False, True):
        try:
            with workers.one() as worker:
                return [rows for rows in worker.ask(command) if isinstance(rows, LogRows)]
        except WorkerDiedError as death:
            if is_last or not death.is_killed:
                return [_dead_stretch(command.stretch, death.reason, command.made_by)]
    raise AssertionError("the last try answers")


def _dead_stretch(stretch: Stretch, reason: str, made_by: Provenance) -> LogRows:
    """One letter for the lines of the stretch."""
    reason = f"these lines cannot be parsed: {reason}"
    first = dead_letter_row(reason, b"", stretch.number, stretch.offset, made_by)
    rest = DeadRest(first, stretch.number + stretch.num_lines - 1, stretch.num_lines)
    (empty,) = rows_of([], made_by, lambda: 0, DeadCap())
    counts = Counts(bytes_done=stretch.offset + stretch.size_bytes)
    return replace(empty, counts=counts, rest=rest)


def stretches(stream: LogStream, start: int, size_bytes: int | None = None) -> Iterator[Stretch]:
    """Whole lines of about this size; an endless line makes a longer stretch and is not held."""
    number = 1 + stream.skip(start)
    offset, unfinished = start, 0
    while chunk := stream.read(size_bytes or _STRETCH_BYTES):
        end = chunk.rfind(b"\n") + 1
        if end:
            num_lines = chunk.count(b"\n")
            yield Stretch(offset, unfinished + end, number, num_lines)
            number += num_lines
            offset += unfinished + end
            unfinished = 0
        unfinished += len(chunk) - end
    if unfinished:
        yield Stretch(offset, unfinished, number, 1)
