"""Errors by which a machine says that it has no disk or memory left, whoever raises them.

A full disk and a lack of memory come out of every library in words of its own: as OSError, as an
import that fails, from inside DuckDB, SQLite, Arrow and torch. Here is what is known of them.
"""

from __future__ import annotations

import errno
import os

from tasks.errors import FlywheelError

_DISK = (os.strerror(errno.ENOSPC).lower(), "database or disk is full")
_MEMORY = (
    os.strerror(errno.ENOMEM).lower(),
    "out of memory",
    "memoryerror",
    "bad_alloc",
    "bad allocation",
    "allocation failure",
    "failed to map segment",
    "failed to pin block",
    "can't allocate memory",
    "unable to allocate",
    "can't start new thread",
)
_GOES_ON = "run the same command again: it goes on after what was stored whole"


def out_of_memory(error: BaseException | None) -> bool:
    """Whether it is, or was raised over one that is."""
    if error is None:
        return False
    said = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or any(words in said for words in _MEMORY)
        or out_of_memory(error.__cause__ or error.__context__)
    )


def disk_is_full(said: str) -> bool:
    return any(words in said.lower() for words in _DISK)


def exhausted(error: Exception) -> FlywheelError | None:
    """What a person is told where the machine gave out, None where it did not."""
    said = " ".join(str(error).split())[:300]
    if disk_is_full(said):
        return FlywheelError(_DISK[0], received=said, next=f"make room, then {_GOES_ON}")
    if out_of_memory(error):
        return FlywheelError(
            "this machine has not enough memory",
            received=said or type(error).__name__,
            next=f"stop what else needs it, or raise the limit (ulimit -v); then {_GOES_ON}",
        )
    return None
