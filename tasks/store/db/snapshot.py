"""The store as of its last commit, for a reader while another process holds it for writing.

DuckDB locks the file of a writer against readers, so a reader gets a copy. It is one moment of the
store: DuckDB never writes over a block that the current header refers to, what was committed since
stands in the log beside it (the log is cut off by nothing but a new header, and a transaction at
its end that is not whole is not replayed), and a copy during which the header changed is thrown
away. On a file system that shares blocks (XFS, Btrfs) it takes no time, else seconds a gigabyte.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: the file's own header and the two of the database, of which the newer one counts
_HEADER_BYTES = 3 * 4096
_TRIES = 20
_PAUSE_S = 0.1
_COPIED_AT_ONCE = 1 << 30
_CANNOT = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL)
#: begins the name of a folder for files that nobody needs any more when its process ends
SCRATCH = ".snapshot-"
_LEFTOVER_AFTER_S = 3_600.0


class UnsteadyError(Exception):
    """The store changed during every copy."""


@contextmanager
def snapshot(path: Path) -> Iterator[Path]:
    """A copy of the database at `path` with its log; whoever has opened it may leave the block.

    Raises OSError where there is no room for it, UnsteadyError.
    """
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=path.parent) as folder:
        for _ in range(_TRIES):
            copy = Path(folder) / path.name
            if _copy(path, copy):
                yield copy
                return
            time.sleep(_PAUSE_S)
        raise UnsteadyError


def remove_leftovers(home: Path, after_s: float = _LEFTOVER_AFTER_S) -> None:
    """Copies of readers that were killed while they copied."""
    for folder in home.glob(f"{SCRATCH}*"):
        with suppress(OSError):
            touched = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - touched > after_s:
                shutil.rmtree(folder, ignore_errors=True)


def _copy(path: Path, copy: Path) -> bool:
    """Whether the copy is one moment of the store."""
    before = _header(path)
    for log in path.parent.glob(f"{path.name}.wal*"):
        with suppress(FileNotFoundError):  # a checkpoint has just taken it in
            _copy_bytes(log, copy.with_name(log.name))
    _copy_bytes(path, copy)
    if _header(path) == before:
        return True
    for stale in copy.parent.iterdir():
        stale.unlink()
    return False


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)


def _copy_bytes(source: Path, target: Path) -> None:
    """By sharing blocks or in the kernel, where the file system can."""
    try:
        with source.open("rb") as old, target.open("wb") as new:
            while os.copy_file_range(old.fileno(), new.fileno(), _COPIED_AT_ONCE):
                pass
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _CANNOT:
            raise
        shutil.copyfile(source, target)
