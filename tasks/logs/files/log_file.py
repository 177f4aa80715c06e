"""What a log is called, told without a password where it is an address; a log file as a value."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import UsageError

#: in place of a path: standard input
STDIN = "-"

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
#: not the container of abfs://container@account, which has no password behind it
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/]*:[^/]*@")
STDIN_PREFIX = "stdin-"


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a file outside this machine is. Its file system may hold credentials: never printed."""

    fs: Any = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file as it was when looked at; `path` is absolute, links resolved.

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
        raise UsageError("not a regular file", received=str(path), allowed="a file or a folder")
    source = str(path)
    if home is not None and path.parent == spool_folder(home):
        source = f"stdin:{path.name.removeprefix(STDIN_PREFIX)[:16]}"
    return LogFile(path, status.st_size, status.st_mtime_ns, source)


def unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"a log file cannot be read: {error.strerror or error}",
        received=str(path),
        next="check its permissions, or leave it out of the pattern",
    )


def is_url(text: str) -> bool:
    return _URL.match(text) is not None


def protocol_of(url: str) -> str:
    """In small letters; "" for a path."""
    scheme = _URL.match(url)
    return scheme[1].lower() if scheme else ""


def without_password(text: str) -> str:
    """A path as it is; an address without user and password."""
    return _USER_AND_PASSWORD.sub("", text, count=1) if is_url(text) else text
