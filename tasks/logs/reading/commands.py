"""What a process that parses is told, and what it answers besides rows.

In a module of their own: the one that Python runs as a program has its classes twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.logs.files.log_file import LogFile
from tasks.logs.reading.lines_wanted import LinesWanted
from tasks.logs.shapes.rows import Provenance
from tasks.settings import IngestSettings
from tasks.store.intake.readings import DeadCap

#: exit code
OUT_OF_MEMORY = 77


@dataclass(frozen=True, slots=True)
class OpenFile:
    """Answered by a Found. `forced`: name of a format. `beside`: as for `LogHere.join`."""

    file: LogFile
    limits: IngestSettings
    forced: str | None


@dataclass(frozen=True, slots=True)
class Join:
    """Of the file that is open; answered by a Found."""

    files: tuple[LogFile, ...] | None


@dataclass(frozen=True, slots=True)
class ReadRows:
    """Of the file that is open, which this closes; answered by batches, and its digest as Done."""

    made_by: Provenance
    cap: DeadCap
    start: int
    only: LinesWanted | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole lines of a plain file, or its unfinished last one; `number` is of the first line."""

    offset: int
    size_bytes: int
    number: int
    num_lines: int


@dataclass(frozen=True, slots=True)
class ParseStretch:
    """Answered by batches. The format that `made_by` names needs no columns. `is_forced`,
    `is_mixed`: as in `Way`."""

    file: LogFile
    limits: IngestSettings
    made_by: Provenance
    cap: DeadCap
    stretch: Stretch
    is_forced: bool
    is_mixed: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The file system refuses the file."""

    what: str
    received: str
    next: str


@dataclass(frozen=True, slots=True)
class Done:
    """The last answer to a command."""

    digest: str = ""


Command = OpenFile | Join | ReadRows | ParseStretch
