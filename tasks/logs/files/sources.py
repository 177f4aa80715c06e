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
from tasks.logs.files.log_file import STDIN, LogFile, is_url, look_at, protocol_of, without_password


@dataclass(frozen=True, slots=True)
class LogFiles:
    """Files in order of their sources, each once, and links that were not followed."""

    files: tuple[LogFile, ...]
    links_out: tuple[Path, ...] = ()


def find_files(patterns: Sequence[str], home: Path | None = None) -> LogFiles:
    """`home`: the state folder, whose copies of standard input are called so.

    Raises UsageError for a pattern that names nothing or a file that cannot be read, and
    StoreUnreachableError for a storage that does not answer.
    """
    files: dict[str, LogFile] = {}
    links_out: set[Path] = set()
    for pattern in patterns:
        num_found = 0
        for file in _find(pattern, home):
            num_found += 1
            if isinstance(file, Path):
                links_out.add(file)
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
    return LogFiles(tuple(files[name] for name in sorted(files)), tuple(sorted(links_out)))


def _find(pattern: str, home: Path | None) -> Iterator[LogFile | Path]:
    """Files, and links that are not followed."""
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
    for path, refused in _expand(local):
        yield path if refused else look_at(path, home)


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
        yield from _inside(root, (file for file in matched if file.is_file()))


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
