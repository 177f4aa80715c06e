"""Chat templates rendered in processes of their own, so that one that runs away ends as an error.

A template comes with a model and is a program: nested loops, `tojson(indent=1e8)` or a doubled
string can take all time and memory of a process, and Jinja's sandbox bounds neither. The workers
(template_worker.py) hold transformers' own renderer under limits of the kernel, are started when
first needed, serve any template, and end with this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import InvalidRequestError, MachineError

__all__ = ["render"]

PROCESSOR_S = 2
MEMORY_BYTES = 512 << 20
MAX_CHARACTERS = 32 << 20
#: for a machine that is too busy to give a worker its processor time
WALL_S = 120
LIMITS = {
    "processor_s": PROCESSOR_S,
    "memory_bytes": MEMORY_BYTES,
    "characters": MAX_CHARACTERS,
}
#: signals that end a worker because of what it renders
BY_THE_TEMPLATE: dict[int, str] = {
    signal.SIGXCPU: f"it took more than {PROCESSOR_S} s of processor time",
    **dict.fromkeys((signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS), "it crashed its process"),
}
SCRIPT = Path(__file__).with_name("template_worker.py")


def render(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    variables: Mapping[str, Any],
    continues: bool = False,
    tools: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The prompt up to where the assistant's answer begins; continues: up to the end of the last
    message, which the answer goes on with. Raises InvalidRequestError in the template's own words,
    or naming the limit it broke.
    """
    asked = {
        "template": template,
        "messages": messages,
        "tools": tools or None,
        "variables": variables,
        "continues": continues,
    }
    try:
        line = json.dumps(asked, default=lambda value: f"<{type(value).__name__}>").encode()
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else str(error)
        raise InvalidRequestError(
            f"The chat messages cannot be written as JSON: {reason}"
        ) from None
    with _POOL.worker() as worker:
        answer = worker.ask(line + b"\n")
    if "error" in answer:
        raise InvalidRequestError(
            f"The model's chat template refuses these messages: {answer['error']}"
        )
    return str(answer["text"])


class _Worker:
    def __init__(self) -> None:
        # -P: beside the script lie modules with the names of packages
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), json.dumps(LIMITS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.is_worn = False
        self.end = weakref.finalize(self, _end, self._process, os.getpid())

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, line: bytes) -> dict[str, Any]:
        """Raises InvalidRequestError if the template ends the process."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(line)
            process.stdin.flush()
            if not select.select([process.stdout], [], [], WALL_S)[0]:
                raise MachineError(f"A chat template was not rendered within {WALL_S} s.")
            if answer := process.stdout.readline():
                self.is_worn = answer[:4] == b"worn"
                return json.loads(answer[4:])  # type: ignore[no-any-return]
        code = process.wait()
        if -code not in BY_THE_TEMPLATE:  # by somebody else, or for want of memory
            raise MachineError(f"The process that renders chat templates ended with code {code}.")
        raise InvalidRequestError(
            f"The model's chat template cannot be run: {BY_THE_TEMPLATE[-code]}."
        )


class _Pool:
    """As many workers as callers at once; idle ones are kept."""

    def __init__(self) -> None:
        self.forget()

    @contextlib.contextmanager
    def worker(self) -> Iterator[_Worker]:
        """One for the caller alone. Who leaves by an exception leaves it unusable."""
        worker = self._idle_one() or _Worker()
        try:
            yield worker
        except BaseException:
            worker.end()
            raise
        if worker.is_worn:
            worker.end()
            return
        with self._lock:
            self._idle.append(worker)

    def _idle_one(self) -> _Worker | None:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive:
                    return worker
                worker.end()
        return None

    def forget(self) -> None:
        """In a fork: the workers are the parent's."""
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() == owner:
        process.kill()
        process.communicate()  # closes the pipes, and leaves no zombie


_POOL = _Pool()
os.register_at_fork(after_in_child=_POOL.forget)
