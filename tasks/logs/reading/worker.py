"""The process that parses log files: `python -m tasks.logs.reading.worker MAX_BYTES MAX_S`.

Speaks pickle over its standard streams with `processes.py`, which starts it: each command is
answered by any number of values and a `Done`. It ends when its input ends, so it never outlives
the process that started it, however that one died. It opens logs and nothing else.

What it needs beyond its limits ends it: address space, and processor time since it was last heard
of; and so does standing still, for a dozen times as long. So a file that cannot be parsed within
them costs this process and not the one that asked.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
from collections.abc import Iterator
from typing import BinaryIO

from tasks import process_limits
from tasks.collecting import collect_seldom
from tasks.logs import formats
from tasks.logs.files.log_file import UnreadableLogError
from tasks.logs.files.opening import open_stretch
from tasks.logs.reading.batches import rows_of
from tasks.logs.reading.commands import (
    OUT_OF_MEMORY,
    Command,
    Done,
    Join,
    OpenFile,
    ParseStretch,
    Refused,
)
from tasks.logs.reading.here import Found, LogHere
from tasks.logs.reading.locate import Reading
from tasks.logs.reading.taking import Way
from tasks.processes import streams
from tasks.store.intake.readings import LogRows


class _Parser:
    """What the process does with its commands, one file open at a time."""

    def __init__(self, max_s: int) -> None:
        self._max_s = max_s
        self._log: LogHere | None = None

    def answer(self, command: Command) -> Iterator[Found | LogRows | Done]:
        if isinstance(command, ParseStretch):
            yield from _of_stretch(command)
            yield Done()
            return
        if isinstance(command, OpenFile):
            self.close()
            forced = formats.by_name(command.forced or "", command.limits.tables)
            log = LogHere(command.file, command.limits, forced, self.go_on)
            self._log = log.__enter__()
            yield log.found
            yield Done()
            return
        assert self._log is not None, "no file is open"
        if isinstance(command, Join):
            self._log.join(command.files)
            yield self._log.found
            yield Done()
            return
        yield from self._log.rows(command.made_by, command.cap, command.start, command.only)
        yield Done(self._log.digest())
        self.close()

    def close(self) -> None:
        if self._log is not None:
            self._log.__exit__()
            self._log = None

    def go_on(self) -> None:
        """It was heard of: what it may take counts from now."""
        # by a thread of C that no lock of Python or of a library holds up; exit code 1
        faulthandler.dump_traceback_later(self._max_s * process_limits.STANDS_STILL, exit=True)
        process_limits.allow_processor_s(self._max_s)


def _of_stretch(command: ParseStretch) -> Iterator[LogRows]:
    """The rows of these lines, as one process reading the whole file would make them."""
    limits, stretch, made_by = command.limits, command.stretch, command.made_by
    parser = formats.by_name(made_by.format)
    assert isinstance(parser, formats.Format), f"no format of lines: {made_by.format}"
    reading = Reading(Way(parser, command.is_forced, command.is_mixed), limits)
    with open_stretch(command.file.path, stretch.offset, stretch.size_bytes) as stream:
        lines = reading.lines(stream, stretch.offset, stretch.number)
        yield from rows_of(lines, made_by, lambda: reading.bytes_done, command.cap)


def serve(source: BinaryIO, sink: BinaryIO, max_s: int) -> None:
    parser = _Parser(max_s)
    try:
        while True:
            # from the process that started this one, and from nobody else
            command: Command = pickle.load(source)  # noqa: S301
            parser.go_on()
            try:
                for answer in parser.answer(command):
                    _say(answer, sink)
                    parser.go_on()
            except UnreadableLogError as error:
                _say(Refused(error.what, error.received, error.next), sink)
            faulthandler.cancel_dump_traceback_later()
            sink.flush()
    except (EOFError, BrokenPipeError):
        return


def _say(answer: Found | LogRows | Done | Refused, sink: BinaryIO) -> None:
    faulthandler.cancel_dump_traceback_later()  # the reader may take its time
    pickle.dump(answer, sink, pickle.HIGHEST_PROTOCOL)


class _WithoutPandas:
    """Arrow imports pandas at the first array, wherever it is found: 0.3 s, for nothing here."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def main() -> None:
    source, sink = streams()
    max_bytes, max_s = map(int, sys.argv[1:])
    process_limits.limit_memory(max_bytes)
    sys.meta_path.insert(0, _WithoutPandas())
    collect_seldom()
    try:
        serve(source, sink, max_s)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    os._exit(0)  # what the parent no longer reads is not flushed


if __name__ == "__main__":
    main()
