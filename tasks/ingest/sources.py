"""Which files a request for logs names: paths, patterns (`**` too) and folders.

Looks at names and file status only; reading is opening.py's. Hidden files are passed over. What a
folder or pattern finds behind a symbolic link that leads out of it is refused and counted: links
may come with the data, only what the user typed is followed.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import UsageError


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file as it was when looked at; `path` is absolute, links resolved."""

    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Found:
    """Files in order of their paths, each once, and links that were not followed."""

    files: tuple[LogFile, ...]
    links_out: tuple[Path, ...] = ()


def find_files(patterns: Sequence[str]) -> Found:
    """Raises UsageError for a pattern that names nothing or a file that cannot be read."""
    files: dict[Path, LogFile] = {}
    links_out: set[Path] = set()
    for pattern in patterns:
        found = list(_expand(pattern))
        for path, refused in found:
            if refused:
                links_out.add(path)
            elif path not in files:
                files[path] = look_at(path)
        if not found:
            raise UsageError(
                "no log file matches",
                received=pattern,
                allowed="a file, a folder, or a pattern with * ? [] or **",
                next=f"check the path; it is relative to {Path.cwd()}",
            )
    return Found(tuple(files[path] for path in sorted(files)), tuple(sorted(links_out)))


def _expand(pattern: str) -> Iterator[tuple[Path, bool]]:
    """(resolved path, is it refused) for every regular file the pattern names."""
    if "\x00" in pattern or not pattern:
        return
    path = Path(pattern).expanduser()
    if path.is_dir():
        yield from _inside(path, _walk(path))
    elif path.exists() or path.is_symlink():
        yield path.resolve(), False
    elif glob.has_magic(pattern):
        # the part before the first magic one is what the user named; links must stay below it
        root = Path(*_fixed_parts(path)).resolve() if _fixed_parts(path) else Path.cwd()
        matched = (Path(name) for name in glob.iglob(str(path), recursive=True))
        yield from _inside(root, (each for each in matched if each.is_file()))


def _fixed_parts(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return parts


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _inside(root: Path, paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    resolved_root = root.resolve()
    for path in paths:
        resolved = path.resolve()
        yield resolved, not resolved.is_relative_to(resolved_root)


def look_at(path: Path) -> LogFile:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        raise UsageError("not a regular file", received=str(path), allowed="a file or a folder")
    return LogFile(path, status.st_size, status.st_mtime_ns)


def unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"a log file cannot be read: {error.strerror or error}",
        received=str(path),
        next="check its permissions, or leave it out of the pattern",
    )
