"""One run at a time on a state folder, across processes; the lock falls with its process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import StoreBusyError, StoreError


@contextmanager
def hold(home: Path) -> Iterator[None]:
    """Hold the run lock of `home`. Raises StoreBusyError naming the process that has it."""
    from filelock import FileLock, Timeout

    holder = home / "run.pid"
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / "run.lock")
        lock.acquire(timeout=0)
    except Timeout:
        pid = holder.read_text().strip() if holder.exists() else "unknown"
        raise StoreBusyError(
            "another flywheel run is at work on this state folder",
            received=f"{home}, held by process {pid}",
            next="wait for it to finish, or stop it, then run the same command again",
        ) from None
    except OSError as error:
        raise StoreError(
            f"the state folder cannot be used: {error.strerror}",
            received=str(home),
            next="set FLYWHEEL_HOME to a folder you may write to",
        ) from None
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
