"""A scoring function in a process of its own, with limits of time and memory.

For functions that somebody else wrote, and for libraries that an answer can keep busy for ever. The
process (worker.py) is started for the first answer, kept for the next, started anew after it broke
a limit, and ends with this one.
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
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.process_limits import STANDS_STILL
from tasks.scoring.base import Score, unscored

_SCRIPT = Path(__file__).with_name("worker.py")
_LOAD_S = 30
_MAX_REPLY_BYTES = 4 * 2**20
#: numeric libraries take a buffer for each thread
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Source:
    """A function by the text it is defined in; `folder`: what it may import from."""

    name: str
    function: str
    path: Path
    text: str
    folder: Path


class FunctionError(Exception):
    """What the function raised, or which limit it broke; for people."""


class LimitedFunction:
    """(answer, target, **parameters) → what worker.py makes of what the function gave."""

    def __init__(self, source: Source, processor_s: int, memory_bytes: int) -> None:
        self._source = source
        self._processor_s = processor_s
        self._memory_bytes = memory_bytes
        self._process: _Process | None = None
        self._refused = ""
        self._lock = threading.Lock()

    def load(self) -> None:
        """Raises FunctionError where the source cannot be run."""
        with self._lock:
            self._running()

    def score(self, text: str, target: str, parameters: Mapping[str, Any]) -> Score:
        """What fails is unscored, with the reason."""
        try:
            with self._lock:
                reply = self._ask(
                    self._running(),
                    {"text": text, "target": target, "parameters": dict(parameters)},
                    self._processor_s,
                )
        except FunctionError as error:
            return unscored(f"{self._source.function} failed: {error}")
        if reply["value"] is None:
            return unscored(reply["unscored_reason"], reply["answer"])
        return Score(reply["value"], reply["answer"], reply["explanation"] or "no explanation")

    def _running(self) -> _Process:
        if self._refused:  # it would be again
            raise FunctionError(self._refused)
        process = self._process
        if process is None or process.owner != os.getpid() or process.popen.poll() is not None:
            process = self._process = _Process(self._limits(), self._source.folder)
            source = self._source
            command = {"name": source.name, "path": str(source.path), "source": source.text,
                       "function": source.function}  # fmt: skip
            try:
                self._ask(process, command, _LOAD_S)
            except FunctionError as error:
                self._refused = f"{source.path.name} cannot be run: {error}"
                self._end()
                raise FunctionError(self._refused) from None
        return process

    def _limits(self) -> dict[str, int]:
        return {
            "memory_bytes": self._memory_bytes,
            "processor_s": self._processor_s,
            "load_s": _LOAD_S,
        }

    def _ask(self, process: _Process, command: Mapping[str, Any], processor_s: int) -> Any:
        limit_s = processor_s * STANDS_STILL
        try:
            line = process.ask(json.dumps(command).encode() + b"\n", limit_s)
            if line is None:
                raise FunctionError(f"it stood still for {limit_s} s")
            if not line.endswith(b"\n"):
                raise FunctionError(_death(process.popen.wait(timeout=limit_s), processor_s))
            reply = json.loads(line)
        except BaseException as error:
            self._end()
            if isinstance(error, ValueError | subprocess.TimeoutExpired):
                raise FunctionError("its process wrote what is no reply") from None
            raise
        if "error" in reply:
            raise FunctionError(reply["error"])
        return reply

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


class _Process:
    def __init__(self, limits: Mapping[str, int], folder: Path) -> None:
        self.owner = os.getpid()
        # the folder last, and -P: neither there nor beside the script may a module hide a package
        path = os.pathsep.join([*filter(None, sys.path), str(folder)])
        self.popen = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), json.dumps(limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
        )
        self.end = weakref.finalize(self, _end, self.popen, self.owner)

    def ask(self, line: bytes, limit_s: float) -> bytes | None:
        """The reply, without its line end where the process ended; None: there was none in time."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.popen.stdin.write(line)
            self.popen.stdin.flush()
        until, reply = time.monotonic() + limit_s, b""
        source = self.popen.stdout.fileno()
        while not reply.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([source], [], [], left)[0]:
                return None
            piece = os.read(source, 2**16)
            reply += piece
            if not piece or len(reply) > _MAX_REPLY_BYTES:
                break
        return reply


def _death(code: int, processor_s: int) -> str:
    if code == -signal.SIGXCPU:
        return f"it takes more than {processor_s} s of processor time"
    if code == -signal.SIGKILL:
        return "its process was killed, as it is when memory runs out"
    return f"its process ended with code {code}"


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() == owner:
        process.kill()
        with contextlib.suppress(BrokenPipeError):  # a line that it never read
            process.communicate()  # closes the pipes, and leaves no zombie
