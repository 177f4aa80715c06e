"""The state folder, which nobody but its owner reads.

Many write into it: DuckDB, MLflow, Prefect and we. So the process creates what it creates for its
owner alone while it works on the folder, and what an earlier build left open is closed.

A folder with the set-group-ID bit (`chmod g+s`) is shared on purpose, as directories of a group
are: its group keeps what it has, and gets what is new. One that holds other things than a state,
such as a project that is its own state folder, stays open; what we write in it does not.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

#: lies beside the working copy of a store that machines share
MARKER = "shared-store"
#: its folder with copies made before something that cannot be taken back
KEPT = "kept"
#: what flywheel writes at the top of a state folder
OURS = (
    "flywheel.duckdb*", ".snapshot-*", ".unfinished-*", KEPT, "restoring.json", ".restoring",
    "mlflow.db*", "mlflow-artifacts", "reports", "data-docs", "prefect", "spool",
    "completions.journal", "completions.spool", "pseudonym.key*", "receipts.key*", "receipts",
    "receipts.lock",
    "evaluate-memory.json*", "ui.json", "run.lock", "run.pid", "recording", ".reproducing-*",
    "erasures", "forgetting.json*", MARKER, "home.id*",
)  # fmt: skip
OWNER_ONLY = 0o077
_NO_OTHERS = 0o007
_OWNERS_FILE = 0o600


@contextmanager
def private(home: Path) -> Iterator[None]:
    """Close the folder, and have all that is created until the block ends closed too."""
    taken = _taken_from(home)
    before = os.umask(taken)
    try:
        _close(home, taken)
        yield
    finally:
        os.umask(before)


def write_once(path: Path, content: bytes) -> None:
    """For the owner alone, whole or not at all; where another process was first, what it wrote
    counts."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNERS_FILE)
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _taken_from(home: Path) -> int:
    return _NO_OTHERS if home.stat().st_mode & stat.S_ISGID else OWNER_ONLY


def _close(home: Path, taken: int) -> None:
    is_ours = True
    for path in home.iterdir():
        if not any(fnmatch(path.name, pattern) for pattern in OURS):
            is_ours = False
        elif path.is_dir() and not path.is_symlink() and path.stat().st_mode & taken:
            for folder, folders, files in os.walk(path, topdown=False):
                for name in (*files, *folders):
                    _take(Path(folder, name), taken)
            _take(path, taken)
        else:
            _take(path, taken)
    if is_ours:
        _take(home, taken)


def _take(path: Path, taken: int) -> None:
    # what is another user's is not ours to close, and what is gone needs it no more
    with suppress(PermissionError, FileNotFoundError):
        mode = path.lstat().st_mode
        if mode & taken and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~taken)
