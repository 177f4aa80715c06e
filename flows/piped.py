"""`--logs -`: standard input as a log file in the state folder, for the length of a command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flows.lock import hold
from tasks.errors import FlywheelError, UsageError
from tasks.logs.files import spool
from tasks.logs.files.log_file import STDIN
from tasks.settings import Settings
from tasks.store import Store


@contextmanager
def piped_in(settings: Settings, logs: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The logs with the copy of standard input in place of `-`, which is deleted once read.

    What earlier commands received and did not come to read is read with it. Raises StoreBusyError
    before anything is read from standard input, UsageError where that is closed.
    """
    if STDIN not in logs:
        yield logs
        return
    if sys.stdin is None:
        raise UsageError("standard input is closed", received="--logs -")
    with hold(settings.home_path):
        copies = tuple(map(str, spool.keep_stdin(settings.home_path, sys.stdin.fileno())))
    others = tuple(log for log in logs if log != STDIN)
    try:
        yield (*others, *copies)
    finally:
        # where there is no store, nothing was read; what stays is read by the next command
        with suppress(FlywheelError), Store.open(settings.store_path, read_only=True) as store:
            spool.discard_read(settings.home_path, store)
