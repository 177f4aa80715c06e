"""Files of an ingest in turn: small ones many to a transaction, each other one in its own.

A transaction costs as much as a thousand calls. Where one of many files fails, for whatever
reason, they are taken one by one instead, so that it fails alone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from tasks.errors import StoreMemoryError
from tasks.ingest.one_file import (
    Job,
    SmallReading,
    give_up,
    read_small,
    take_in,
    take_in_together,
)
from tasks.ingest.unread import Unread, Unreads
from tasks.logs.files import spool
from tasks.logs.files.log_file import LogFile, UnreadableLogError
from tasks.logs.reading.reader import NotReadThereError

#: of one file, as it lies there
_MAX_SMALL_BYTES = 2**20
#: at a time
_MAX_FILES = 500
_MAX_BYTES = 8 * 2**20
#: of the database; parsing takes about as much again
_MAX_STORE_BYTES = 768 * 2**20


class InTurn:
    """Takes in file after file. `refused`: those that the file system refuses."""

    def __init__(self, job: Job, unreads: Unreads) -> None:
        self._job = job
        self._unreads = unreads
        self._held: list[tuple[LogFile, SmallReading]] = []
        self._held_bytes = 0
        self._home = job.run.settings.home_path
        self.refused: list[UnreadableLogError] = []

    def take(self, file: LogFile) -> None:
        """What is unread of it, now or with `finish`."""
        if file.size_bytes <= _MAX_SMALL_BYTES and self._is_seen_to(file):
            if len(self._held) >= _MAX_FILES or self._held_bytes >= _MAX_BYTES:
                self._take_held()
        else:
            self._take_held()
            self._take_alone(file)

    def finish(self) -> None:
        self._take_held()
        self._unreads.finish()

    def _is_seen_to(self, file: LogFile) -> bool:
        """Whether nothing is left to do but to store what is held."""
        try:
            with self._at_hand(file) as here:
                unread = self._unreads.of(here)
                if unread is None:
                    return True
                reading = read_small(self._job, unread)
        except NotReadThereError:
            return self._is_seen_to(file)
        except UnreadableLogError as error:
            # it is asked again the next time
            self.refused.append(error)
            return True
        except Exception:
            return False  # whatever it was, it is met again where it can be told
        if reading is None:
            return False
        self._held.append((file, reading))
        self._held_bytes += reading.num_bytes
        return True

    def _take_held(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if not held:
            return
        try:
            self._job.store.hold_memory(_MAX_STORE_BYTES)
            with self._job.store.transaction():
                take_in_together(self._job, [reading for _, reading in held])
        except Exception:
            for file, _ in held:
                self._take_alone(file)

    def _at_hand(self, file: LogFile) -> AbstractContextManager[LogFile]:
        """Where it can be read from."""
        if self._job.reader.has(file):
            return nullcontext(file)
        return spool.on_this_machine(file, self._home)

    def _take_alone(self, file: LogFile) -> None:
        if self._job.reader.has(file) and self._took_from_elsewhere(file):
            return
        try:
            with spool.on_this_machine(file, self._home) as here:
                unread = self._unreads.of(here)
                if unread is not None:
                    self._take_all(unread)
        except UnreadableLogError as error:
            self.refused.append(error)

    def _took_from_elsewhere(self, file: LogFile) -> bool:
        """All of a new file, as it is read elsewhere; else nothing of it, and it is read here."""
        job = self._job
        job.store.hold_memory(_MAX_STORE_BYTES)
        try:
            with job.store.transaction():
                take_in(job, Unread(file))
        except (NotReadThereError, MemoryError, StoreMemoryError):
            return False
        return True

    def _take_all(self, unread: Unread) -> None:
        """All of a file, or the letter that says that this machine cannot hold it.

        DuckDB writes 2,048 rows at a time, which of very long texts take more than it usually
        needs.
        """
        job = self._job
        for max_bytes in (_MAX_STORE_BYTES, None):
            job.store.hold_memory(max_bytes)
            try:
                with job.store.transaction():
                    take_in(job, unread)
                return
            except (MemoryError, StoreMemoryError) as error:
                reason = f"the file cannot be taken in for want of memory: {error}"
        with job.store.transaction():
            give_up(job, unread, reason)
