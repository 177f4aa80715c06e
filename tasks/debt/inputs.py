"""Logs that are declared and bring nothing, and logs that were read and nobody declares. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from tasks.model.debt import Finding, ReadFile
from tasks.model.urls import is_url

_NO_FOLDER = "(piped in)"


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """A pattern of `logs`: as it is written, as an absolute one, and the files that it names now;
    None: it was not looked (an address)."""

    written: str
    pattern: str
    files: tuple[str, ...] | None

    def covers(self, path: str) -> bool:
        return path in (self.files or ()) or covers(self.pattern, path)


def covers(pattern: str, path: str) -> bool:
    """Whether a file of this path is one that the pattern names, be it there or not: a path, a
    folder, or a pattern with `*`, `?`, `[]` and, for any number of folders, `**`."""
    if path == pattern or path.startswith(pattern.rstrip("/") + "/"):
        return True
    parts = pattern.split("/")
    places = _skipped({0}, parts)
    for name in path.split("/"):
        places = _skipped({
            place + (parts[place] != "**")
            for place in places
            if place < len(parts) and (parts[place] == "**" or fnmatchcase(name, parts[place]))
        }, parts)  # fmt: skip
    return len(parts) in places


def _skipped(places: set[int], parts: Sequence[str]) -> set[int]:
    """With those behind a `**` too, which may stand for no folder at all."""
    found = set(places)
    for place in places:
        while place < len(parts) and parts[place] == "**":
            place += 1
            found.add(place)
    return found


def dead_inputs(
    declared: Sequence[DeclaredInput], read: Sequence[ReadFile], now: datetime, days: int
) -> Iterator[Finding]:
    for one in declared:
        brought = [
            file.last_rows_at
            for file in read
            if file.last_rows_at is not None and one.covers(file.path)
        ]
        last = max(brought, default=None)
        if one.files == ():
            evidence = "no file matches it"
        elif last is None:
            evidence = "no row has come from it"
        elif (now - last).days >= days:
            evidence = f"no row has come from it since {last:%Y-%m-%d}"
        else:
            continue
        value = None if last is None else f"{last:%Y-%m-%d}"
        yield Finding(
            "dead_input", one.written, evidence, value, "see who writes it, or take it out of logs"
        )


def undeclared_inputs(
    declared: Sequence[DeclaredInput], read: Sequence[ReadFile]
) -> Iterator[Finding]:
    """By folder, of files that brought rows: what was named on a command line only."""
    folders: dict[str, list[ReadFile]] = {}
    for file in read:
        if file.rows_out and not any(one.covers(file.path) for one in declared):
            is_file = file.path.startswith("/") or is_url(file.path)
            folder = os.path.dirname(file.path) if is_file else _NO_FOLDER
            folders.setdefault(folder, []).append(file)
    for folder, files in folders.items():
        rows = sum(file.rows_out for file in files)
        several = f"{len(files):,} files" if len(files) > 1 else "1 file"
        yield Finding(
            "undeclared_input",
            folder,
            f"{rows:,} rows of {several} that no pattern of logs names",
            rows,
            "declare it under logs, so that every night reads it; or leave it out of the evals",
        )
