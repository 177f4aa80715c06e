"""Processes that parse logs: started when needed, kept for the next file, each with limits.

A process that dies says why. What it was at is then told by a dead letter, unless a person ended
it. One that was killed may have been in the way of another: its work is tried once more.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.errors import FlywheelError
from tasks.logs.files.log_file import UnreadableLogError
from tasks.logs.reading.commands import OUT_OF_MEMORY, Command, Done, Refused
from tasks.logs.reading.here import Found
from tasks.process_limits import STANDS_STILL
from tasks.processes import OtherProcess
from tasks.settings import IngestSettings
from tasks.store.intake.readings import LogRows

_BY_HAND = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)


class WorkerDiedError(Exception):
    """`reason`: for people. `is_killed`: perhaps for no fault of its work."""

    def __init__(self, reason: str, *, is_killed: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_killed = is_killed


class Workers:
    """All processes of one ingest or replay, for the length of a `with` block."""

    def __init__(self, limits: IngestSettings) -> None:
        self._limits = limits
        self._idle: list[Worker] = []
        self._all: list[Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            worker.end()

    @contextmanager
    def one(self) -> Iterator[Worker]:
        """A process that nobody else uses meanwhile; one that did not finish is not used again."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = Worker(self._limits)
            self._all.append(worker)
        try:
            yield worker
        finally:
            if worker.is_idle:
                self._idle.append(worker)
            else:
                worker.end()
                self._all.remove(worker)


class Worker(OtherProcess):
    """One `tasks.logs.reading.worker`."""

    def __init__(self, limits: IngestSettings) -> None:
        self._limits = limits
        super().__init__(
            "tasks.logs.reading.worker",
            limits.max_parser_bytes,
            limits.max_parser_s,
            # Arrow's own allocators take address space in advance, and so do NumPy's threads, which
            # are not needed and spin as they start
            ARROW_DEFAULT_MEMORY_POOL="system",
            OPENBLAS_NUM_THREADS="1",
        )
        self.is_idle = True

    def ask(self, command: Command) -> Iterator[Found | LogRows | Done]:
        """The answers, `Done` too.

        Raises WorkerDiedError, UnreadableLogError, and FlywheelError where a person ended it.
        """
        self.is_idle = False
        try:
            self.say(command)
        except OSError:
            raise self._death() from None
        while not self.is_idle:
            try:
                answer = self.hear()
            except EOFError:
                raise self._death() from None
            self.is_idle = isinstance(answer, Done | Refused)
            if isinstance(answer, Refused):
                raise UnreadableLogError(answer.what, received=answer.received, next=answer.next)
            yield answer

    def _death(self) -> Exception:
        code = self.exit_code()
        if code in _BY_HAND:
            return FlywheelError(
                "a process that parses logs was ended before its work",
                received=signal.Signals(-code).name,
                next="nothing of this file was taken in; run the same command again",
            )
        return WorkerDiedError(self._reason(code), is_killed=code == -signal.SIGKILL)

    def _reason(self, code: int) -> str:
        if code == OUT_OF_MEMORY:
            limit = self._limits.max_parser_bytes
            return f"it takes more than {limit} bytes ([ingest] max_parser_bytes), or than are left"
        if code == -signal.SIGXCPU:
            return f"it takes more than {self._limits.max_parser_s} s ([ingest] max_parser_s)"
        if code == -signal.SIGKILL:
            return "the process that parsed it was killed, as it is when memory runs out"
        lines = self.last_lines()
        if lines[0].startswith("Timeout ("):
            limit = self._limits.max_parser_s * STANDS_STILL
            return f"it stood still for {limit} s ({STANDS_STILL} times [ingest] max_parser_s)"
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        name = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"the process that parsed it ended {name}" + (f": {last[:300]}" if last else "")
