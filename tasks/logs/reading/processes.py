"""A large file of plain lines, parsed by several processes, its batches in the order of the file.

Python parses on one core only. The file is cut at line ends into stretches, which the processes
read themselves; the rows come back as Arrow. Whatever the number of processes, the batches are the
same rows in the same order.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from tasks.errors import FlywheelError
from tasks.logs.files.opening import LogStream
from tasks.logs.reading.worker import Assignment, Stretch
from tasks.store.intake.readings import LogRows

_STRETCH_BYTES = 4 * 2**20
_MAX_PROCESSES = 8


def num_processes(wanted: int) -> int:
    """As many as wanted; 0: one for each core that this process may use, at most 8."""
    return wanted or min(_MAX_PROCESSES, len(os.sched_getaffinity(0)))


def parse_with_processes(
    stream: LogStream, start: int, assignment: Assignment, count: int
) -> Iterator[LogRows]:
    """Batches of the plain lines from byte `start` on. Raises FlywheelError where a process dies.

    `stream` stands at the beginning of the file and is used only to find line ends.
    """
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def parse(stretch: Stretch) -> list[LogRows]:
        worker = idle.get()
        try:
            return worker.parse(stretch)
        finally:
            idle.put(worker)

    with ExitStack() as stack:
        for _ in range(count):
            idle.put(stack.enter_context(_Worker(assignment)))
        threads = stack.enter_context(ThreadPoolExecutor(count))
        pending: deque[Future[list[LogRows]]] = deque()
        stack.callback(lambda: [future.cancel() for future in pending])
        for stretch in stretches(stream, start):
            pending.append(threads.submit(parse, stretch))
            if len(pending) > 2 * count:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def stretches(stream: LogStream, start: int, size_bytes: int = _STRETCH_BYTES) -> Iterator[Stretch]:
    """Whole lines of about this size; an endless line makes a longer stretch and is not held."""
    number = 1 + stream.skip(start)
    offset, unfinished = start, 0
    while chunk := stream.read(size_bytes):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield Stretch(offset, unfinished + end, number)
            number += chunk.count(b"\n")
            offset += unfinished + end
            unfinished = 0
        unfinished += len(chunk) - end
    if unfinished:
        yield Stretch(offset, unfinished, number)


class _Worker:
    """One `tasks.logs.reading.worker`, for the length of a `with` block."""

    def __init__(self, assignment: Assignment) -> None:
        # the same modules as here, and nothing of the folder that we happen to stand in
        path = os.pathsep.join(folder for folder in sys.path if folder)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tasks.logs.reading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._path = assignment.path
        self._assignment: Assignment | None = assignment

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def parse(self, stretch: Stretch) -> list[LogRows]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            if self._assignment is not None:
                pickle.dump(self._assignment, stdin)
                self._assignment = None
            pickle.dump(stretch, stdin)
            stdin.flush()
            batches: list[LogRows] = pickle.load(stdout)  # noqa: S301 - our own process
        except (EOFError, OSError, pickle.UnpicklingError):
            raise FlywheelError(
                "a process that parses logs ended before its work",
                received=f"exit code {self._process.wait(10)} at byte {stretch.offset} of "
                f"{self._path}",
                next="nothing of this file was taken in; [ingest] processes = 1 parses without it",
            ) from None
        return batches
