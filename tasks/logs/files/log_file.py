"""A log file as a value: where it is, how large, and what people call it."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import UsageError

STDIN_PREFIX = "stdin-"


class UnreadableLogError(UsageError):
    """The file system refuses the file, or what has this name is none."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a file outside this machine is. Its file system may hold credentials: never printed."""

    fs: Any = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file as it was when looked at; `path` is absolute, links resolved.

    `mtime_ns`: of the last change of its content or its status (ctime), which no tool can set, so
    that a log replaced by one of equal size and time is another one.
    `source`: what the store and people call it. Of a file outside this machine `path` is the bare
    name until it is here, and `etag` its version, where the storage tells one.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    source: str
    etag: str | None = None
    remote: Remote | None = None

    @property
    def tells_version(self) -> bool:
        """Whether size, time and etag tell one content from another."""
        return self.remote is None or self.etag is not None


def spool_folder(home: Path) -> Path:
    """Of the state folder `home`; spool.py fills it."""
    return home / "spool"


def look_at(path: Path, home: Path | None = None) -> LogFile:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableLogError(
            "not a regular file", received=str(path), allowed="a file or a folder"
        )
    source = str(path)
    try:
        source.encode()
    except UnicodeEncodeError:
        raise UnreadableLogError(
            "a name that is not UTF-8",
            received=source.encode("utf-8", "backslashreplace").decode(),
            next="rename the file",
        ) from None
    if home is not None and path.parent == spool_folder(home):
        source = f"stdin:{path.name.removeprefix(STDIN_PREFIX)[:16]}"
    return LogFile(path, status.st_size, status.st_ctime_ns, source)


def unreadable(path: Path, error: OSError) -> UnreadableLogError:
    return UnreadableLogError(
        f"a log file cannot be read: {error.strerror or error}",
        received=str(path),
        next="check its permissions, or leave it out of the pattern",
    )
