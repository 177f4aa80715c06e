"""Which files a request for logs names: paths, patterns (`**` too), folders and addresses.

Looks at names and file status only; reading is opening.py's, object storage remote.py's. Hidden
files are passed over. What a folder or pattern finds behind a symbolic link that leads out of it is
refused and counted: links may come with the data, only what the user typed is followed.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tasks.errors import UsageError
from tasks.logs.files import remote
from tasks.logs.files.log_file import LogFile, UnreadableLogError, look_at, unreadable
from tasks.model.urls import STDIN, is_url, protocol_of, without_password


@dataclass(frozen=True, slots=True)
class LogFiles:
    """Files in order of their sources, each once; links that were not followed; and what cannot be
    read, with the reason."""

    files: tuple[LogFile, ...]
    links_out: tuple[Path, ...] = ()
    refused: tuple[UnreadableLogError, ...] = ()


def find_files(patterns: Sequence[str], home: Path | None = None) -> LogFiles:
    """`home`: the state folder, whose copies of standard input are called so.

    Raises UsageError for a pattern that names nothing, UnreadableLogError where nothing at all can
    be read, and StoreUnreachableError for a storage that does not answer.
    """
    files: dict[str, LogFile] = {}
    links_out: set[Path] = set()
    refused: dict[str, UnreadableLogError] = {}
    for pattern in patterns:
        num_found = 0
        for file in _find(pattern, home):
            num_found += 1
            if isinstance(file, Path):
                links_out.add(file)
            elif isinstance(file, UnreadableLogError):
                refused.setdefault(file.received, file)
            else:
                files.setdefault(file.source, file)
        if not num_found:
            raise UsageError(
                "no log file matches",
                received=without_password(pattern),
                allowed="a file, a folder, or a pattern with * ? [] or **",
                next="check the address"
                if is_url(pattern)
                else f"check the path; it is relative to {Path.cwd()}",
            )
    if refused and not files:
        raise next(iter(refused.values()))
    return LogFiles(
        tuple(files[name] for name in sorted(files)),
        tuple(sorted(links_out)),
        tuple(refused.values()),
    )


def _find(pattern: str, home: Path | None) -> Iterator[LogFile | Path | UnreadableLogError]:
    """Files, links that are not followed, and what cannot be read."""
    if pattern == STDIN:
        raise UsageError(
            "standard input is read on the command line only",
            received=pattern,
            next="flywheel ingest --logs - < calls.jsonl",
        )
    if is_url(pattern) and protocol_of(pattern) != "file":
        yield from remote.find(pattern)
        return
    local = unquote(pattern[len("file://") :]) if is_url(pattern) else pattern
    for path in _expand(local):
        if isinstance(path, UnreadableLogError):
            yield path
        elif isinstance(path, _LinkOut):
            yield path.path
        else:
            try:
                yield look_at(path, home)
            except UnreadableLogError as error:
                yield error


@dataclass(frozen=True, slots=True)
class _LinkOut:
    path: Path


_Place = Path | _LinkOut | UnreadableLogError


def _expand(pattern: str) -> Iterator[_Place]:
    """Resolved paths of all that the pattern names, but folders."""
    if "\x00" in pattern or not pattern:
        return
    path = Path(pattern).expanduser()
    if os.path.isdir(path):
        yield from _inside(path, _walk(path))
    elif os.path.lexists(path):
        yield _resolved(path)
    elif glob.has_magic(pattern):
        # the part before the first magic one is what the user named; links must stay below it
        root = Path(*_fixed_parts(path)) if _fixed_parts(path) else Path.cwd()
        matched = (Path(name) for name in glob.iglob(str(path), recursive=True))
        yield from _inside(root, (file for file in matched if not file.is_dir()))


def _fixed_parts(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return parts


def _walk(folder: Path) -> Iterator[Path | UnreadableLogError]:
    failed: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=failed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(root, name)
    for error in failed:
        yield unreadable(Path(error.filename), error)


def _inside(root: Path, paths: Iterable[Path | UnreadableLogError]) -> Iterator[_Place]:
    root = root.resolve()
    for path in paths:
        resolved = path if isinstance(path, UnreadableLogError) else _resolved(path)
        if isinstance(resolved, Path) and not resolved.is_relative_to(root):
            yield _LinkOut(resolved)
        else:
            yield resolved


def _resolved(path: Path) -> Path | UnreadableLogError:
    try:
        return Path(os.path.realpath(path, strict=True))
    except OSError as error:
        return unreadable(path, error)
