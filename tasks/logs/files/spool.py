"""Logs that are no file here, as private files in the state folder until they are taken in.

`<home>/spool/stdin-DIGEST`: standard input, by its content. It goes once its rows are committed,
so what a killed run had received is read by the next. `<home>/spool/remote/`: the download at
work. Whoever calls holds the run lock, so what lies here belongs to nobody else.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tasks.logs.files import remote
from tasks.logs.files.log_file import STDIN_PREFIX, LogFile, look_at, spool_folder
from tasks.store import Store
from tasks.store.intake import sources as readings

_CHUNK_BYTES = 1 << 20


def keep_stdin(home: Path, stdin: int) -> list[Path]:
    """Copy what an open file descriptor gives; its file, and those that killed runs have left."""
    folder = _private_folder(spool_folder(home))
    unfinished = folder / "unfinished"
    if unfinished.exists():
        _finish(unfinished)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        while chunk := os.read(stdin, _CHUNK_BYTES):
            file.write(chunk)
        os.fsync(file.fileno())
    path = _finish(unfinished)
    return [path, *sorted(copy for copy in folder.glob(f"{STDIN_PREFIX}*") if copy != path)]


def _finish(unfinished: Path) -> Path:
    with unfinished.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return unfinished.replace(unfinished.with_name(f"{STDIN_PREFIX}{digest}"))


def discard_read(home: Path, store: Store) -> None:
    """Delete the copies of standard input whose rows are committed."""
    for path in spool_folder(home).glob(f"{STDIN_PREFIX}*"):
        if readings.last_reading(store, look_at(path, home).source) is not None:
            path.unlink()


def clear_downloads(home: Path) -> None:
    """What a killed run was about to read; it is downloaded again."""
    shutil.rmtree(spool_folder(home) / "remote", ignore_errors=True)


@contextmanager
def on_this_machine(file: LogFile, home: Path) -> Iterator[LogFile]:
    """The file itself; one from elsewhere is downloaded for the length of the `with` block."""
    if file.remote is None:
        yield file
        return
    _private_folder(spool_folder(home))
    folder = _private_folder(spool_folder(home) / "remote")
    # the name is kept, since it may tell what the file is
    target = folder / (re.sub(r"[^A-Za-z0-9._-]", "_", file.path.name)[-200:] or "log")
    try:
        remote.download(file.remote, file.size_bytes, target)
        yield replace(file, path=target)
    finally:
        target.unlink(missing_ok=True)


def _private_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
