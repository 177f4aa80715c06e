"""The process that parses stretches of a log file: `python -m tasks.logs.reading.worker`.

Speaks pickle over its standard streams with `processes.py`, which starts it: first the assignment,
then stretches, each answered by its batches. It ends when its input ends, so it never outlives the
process that started it, however that one died. It opens the log and nothing else.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tasks.logs import formats
from tasks.logs.files.opening import open_stretch
from tasks.logs.reading.batches import rows_of
from tasks.logs.reading.locate import Reading
from tasks.logs.shapes.rows import Provenance
from tasks.store.intake.readings import LogRows

__all__ = ["Assignment", "Stretch", "parse_stretch"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What all stretches of a file share. The format that `made_by` names needs no columns."""

    path: Path
    made_by: Provenance
    max_line_bytes: int
    max_json_depth: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole lines of a plain file, or its unfinished last one; `number` is of the first line."""

    offset: int
    size_bytes: int
    number: int


def parse_stretch(assignment: Assignment, stretch: Stretch) -> list[LogRows]:
    """The rows of these lines, as one process reading the whole file would make them."""
    parser = formats.by_name(assignment.made_by.format, {})
    assert isinstance(parser, formats.Format), f"no format of lines: {assignment.made_by.format}"
    reading = Reading(parser, assignment.max_line_bytes, assignment.max_json_depth)
    with open_stretch(assignment.path, stretch.offset, stretch.size_bytes) as stream:
        lines = reading.lines(stream, stretch.offset, stretch.number)
        return list(rows_of(lines, assignment.made_by, lambda: reading.bytes_done))


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    try:
        # from the process that started this one, and from nobody else
        assignment: Assignment = pickle.load(source)  # noqa: S301
        while True:
            stretch: Stretch = pickle.load(source)  # noqa: S301
            pickle.dump(parse_stretch(assignment, stretch), sink, pickle.HIGHEST_PROTOCOL)
            sink.flush()
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends us
    # JSON has no circles: to look for them after every 700 objects costs a twentieth of the time
    gc.set_threshold(100_000)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print must not end in the stream
    serve(sys.stdin.buffer, output)
    os._exit(0)  # what the parent no longer reads is not flushed
