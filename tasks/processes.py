"""Processes of our own beside this one: started from a module, spoken to in pickles over their
standard streams, gone when their starter is gone.

Which limits such a process has, and what its end means, is for whoever starts it.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, BinaryIO, TypeVar

from tasks.process_limits import ignore_the_keyboard, own_output

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_PROCESSES = 8
_GOING_S = 10


def num_cores() -> int:
    """That this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")  # macOS has none
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def num_processes(wanted: int) -> int:
    """As many as wanted; 0: one for each core that this process may use, at most 8."""
    return wanted or min(_MAX_PROCESSES, num_cores())


def this_process() -> str:
    """For people: on another machine, or in another container, its number alone is another's."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class OtherProcess:
    """`python -m MODULE ARGUMENTS`, of which the module calls `streams`. Not shared by threads."""

    def __init__(self, module: str, *arguments: object, **environment: str) -> None:
        # the same modules as here, and nothing of the folder that we happen to stand in
        path = os.pathsep.join(folder for folder in sys.path if folder)
        # what a library says as it crashes is read when it has
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **environment, "PYTHONPATH": path},
        )

    def say(self, value: object) -> None:
        """Raises OSError where it is gone."""
        assert self._process.stdin is not None
        pickle.dump(value, self._process.stdin, pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()

    def hear(self) -> Any:
        """What it says next. Raises EOFError where it is gone, or goes in the middle of it."""
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)  # noqa: S301 - our own process
        except (OSError, pickle.UnpicklingError) as error:
            raise EOFError from error

    def exit_code(self) -> int:
        """Of one that is gone or going; negative: the signal that ended it."""
        try:
            return self._process.wait(_GOING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_lines(self) -> list[str]:
        """What one that is gone wrote to its standard error."""
        self._said.seek(0)
        return self._said.read().decode("utf-8", "replace").split("\n")

    def kill(self) -> None:
        """Whoever hears it meets its end."""
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()


def streams() -> tuple[BinaryIO, BinaryIO]:
    """In such a process: where to load pickles from and dump them to. Its input ends with whoever
    started it, who also is told of Ctrl-C and ends it."""
    ignore_the_keyboard()
    return sys.stdin.buffer, own_output()


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], count: int, ahead: int | None = None
) -> Iterator[Result]:
    """`work` of every item, by `count` threads at once, with at most `ahead` (`count`) results
    waiting. What it raises is raised in its turn, and nothing more is begun."""
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(count))
        pending: deque[Future[Result]] = deque()
        stack.callback(lambda: [future.cancel() for future in pending])
        for item in items:
            pending.append(threads.submit(work, item))
            if len(pending) > (ahead or count):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
