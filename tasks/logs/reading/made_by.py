"""What every reading of one run shares, and so what stands in each row of a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tasks.logs import formats
from tasks.logs.files.log_file import LogFile
from tasks.logs.reading.here import Found
from tasks.logs.shapes.rows import Provenance
from tasks.model.window import Window


@dataclass(frozen=True, slots=True)
class MadeBy:
    """`forced`: name of the format that was asked for; None: none was."""

    run_id: str
    window: Window
    forced: str | None

    def of(self, file: LogFile, found: Found, now: datetime) -> Provenance:
        return Provenance(
            path=file.source,
            format=found.format or self.forced or formats.UNKNOWN,
            parser_version=found.parser_version,
            run_id=self.run_id,
            now=now,
            window=self.window,
        )
