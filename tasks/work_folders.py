"""Folders with the files of one process, gone with it: the one place that tells whose owner is.

The owner of a folder holds a lock on a file in it, which the kernel takes from it however it ends.
The number of a process would tell nothing in another container, or on another machine, that shares
the place: there it is another process, or none.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HELD = ".held"
#: of one that no lock tells about: its file system has none, or it is of an earlier build
_LEFT_AFTER_S = 86_400.0


@contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder of this prefix for its owner alone; those whose owners are gone are removed.
    Raises OSError."""
    for left in parent.glob(f"{prefix}*"):
        if not left.is_symlink():
            _remove_if_left(left)
    folder, handle = _made(parent, prefix)
    try:
        yield folder
    finally:
        if handle is not None:
            os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _made(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """And what holds it; None: locks are not to be had there."""
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        try:
            handle = _open(folder, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:  # taken for left before it was held
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return folder, handle
        except BlockingIOError:
            pass
        except OSError:
            os.close(handle)
            return folder, None
        os.close(handle)


def _remove_if_left(folder: Path) -> None:
    try:
        handle = _open(folder, os.O_RDWR)
    except FileNotFoundError:
        if _untouched_s(folder) > _LEFT_AFTER_S:
            shutil.rmtree(folder, ignore_errors=True)
        return
    except OSError:  # another's
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_left = True
    except BlockingIOError:
        is_left = False
    except OSError:
        is_left = _untouched_s(folder) > _LEFT_AFTER_S
    if is_left:
        shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)


def _open(folder: Path, flags: int) -> int:
    return os.open(folder / _HELD, flags | os.O_NOFOLLOW, 0o600)


def _untouched_s(folder: Path) -> float:
    touched = 0.0
    for path, _, files in os.walk(folder):  # passes over what vanishes meanwhile
        for name in ("", *files):
            with suppress(FileNotFoundError):
                touched = max(touched, os.lstat(os.path.join(path, name)).st_mtime)
    return time.time() - touched
