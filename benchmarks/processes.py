"""Measured systems as processes: started once, asked one job at a time, stopped in between so that
only one of them ever computes.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MeasuredProcess", "Reply", "SystemFailedError", "environment_for"]

ROOT = Path(__file__).resolve().parent.parent


class SystemFailedError(Exception):
    """A system ended, or did not answer in time; the message ends with its last words."""


@dataclass(frozen=True, slots=True)
class Reply:
    seconds: float
    output: list[Any]
    peak_mib: float


class MeasuredProcess:
    """A session (peers/session.py) under some interpreter, in a process group of its own."""

    def __init__(
        self, name: str, command: list[str], settings: dict[str, Any], log: Path, timeout_s: float
    ) -> None:
        self.name = name
        self.log = log
        threads = int(settings["threads"])
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment_for(threads),
                cwd=ROOT,
                start_new_session=True,
            )
        try:
            hello = self._ask(settings, timeout_s)
        except BaseException:
            self.end()
            raise
        self.load_s = float(hello["load_s"])
        self.dtype = str(hello["dtype"])
        self.versions: dict[str, str] = hello["versions"]

    def ask(self, work: str, items: list[Any], timeout_s: float) -> Reply:
        reply = self._ask({"work": work, "items": items}, timeout_s)
        return Reply(reply["seconds"], reply["output"], reply["peak_mib"])

    def _ask(self, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._signal(signal.SIGCONT)
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(self._process.stdout, selectors.EVENT_READ)
                if not selector.select(timeout_s):
                    self.end()
                    raise SystemFailedError(f"no answer within {timeout_s:.0f} s")
            line = self._process.stdout.readline()
        except (BrokenPipeError, ProcessLookupError):
            line = b""
        if not line:
            raise SystemFailedError(self._last_words())
        self._signal(signal.SIGSTOP)
        return dict(json.loads(line))

    def _last_words(self) -> str:
        code = self._process.wait()
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        self.end()
        return f"ended with code {code}: " + (lines[-1].strip()[:300] if lines else "no message")

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self._process.pid, number)

    def end(self) -> None:
        for number in (signal.SIGCONT, signal.SIGKILL):
            try:
                self._signal(number)
            except ProcessLookupError:
                break
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what a dead process can no longer read
                pipe.close()  # type: ignore[union-attr]


def environment_for(threads: int) -> dict[str, str]:
    """The same number of threads for everybody; nothing is fetched."""
    count = str(threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
