"""Code that nobody vouches for, run by bubblewrap in namespaces of its own: no network, no file
system but Python's own files (read-only) and a small /tmp in memory, no environment, no other
process, with limits by the kernel and by the clock.

Source: bwrap(1). What the program in there does is code_worker.py; which system calls it is
refused, system_calls.py. There is no weaker way: where bubblewrap does not work, nothing is run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from tasks.process_limits import STANDS_STILL
from tasks.scoring.system_calls import UnknownMachineError, refusing_filter

_PROGRAM = "bwrap"
#: in the sandbox, in memory, and gone with it
_TMP = "/tmp"  # noqa: S108
#: of it, and of each file
_TMP_BYTES = 16 * 2**20
_WORKER = Path(__file__).with_name("code_worker.py")
#: the worker's place in the sandbox
_INSIDE = "/worker.py"
_START_S = 30
_MAX_SAID_BYTES = 64 * 2**10
#: where the system has what Python is linked to; a link where /usr holds it all
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


class SandboxError(Exception):
    """The sandbox cannot be used here; for people."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of code and tests. `phase`: which of them it failed in, `line` of it (0: none
    known) and `error` say where and with what; `passed`: the tests ended without one."""

    passed: bool
    seconds: float
    phase: Literal["answer", "tests"] = "tests"
    line: int = 0
    error: str = ""


def run(code: str, tests: str, processor_s: int, memory_bytes: int) -> Ran:
    """Raises SandboxError where the sandbox does not start."""
    ran = _Sandbox()
    try:
        return _told(ran, code, tests, processor_s, memory_bytes)
    finally:
        ran.end()


def _told(ran: _Sandbox, code: str, tests: str, processor_s: int, memory_bytes: int) -> Ran:
    loaded, passed = secrets.token_hex(16).encode(), secrets.token_hex(16).encode()
    program, asked = (text.encode("utf-8", "surrogatepass") for text in (code, tests))
    key = secrets.token_bytes(len(asked))
    enciphered = (int.from_bytes(asked) ^ int.from_bytes(key)).to_bytes(len(asked))
    digest = hashlib.blake2b(asked).hexdigest().encode()
    limits = b"%d %d %d" % (memory_bytes, processor_s, _TMP_BYTES)
    header = b"%s %s %s %d" % (loaded, passed, digest, len(program))
    ran.until = time.monotonic() + _START_S
    ran.say(b"%s\n%s\n%s%s" % (limits, header, program, enciphered))
    if ran.line() != b"ready":
        raise SandboxError(ran.why_not())
    started = time.monotonic()
    ran.until = started + processor_s * STANDS_STILL
    said = ran.line()
    phase: Literal["answer", "tests"] = "answer"
    if said == loaded:
        phase = "tests"
        ran.say(key)
        said = ran.line()
    seconds = time.monotonic() - started
    if phase == "tests" and said == b"passed " + passed:
        return Ran(True, seconds)
    if said is None:
        return Ran(False, seconds, phase, error=ran.end_of(processor_s))
    kind, _, rest = said.decode("utf-8", "replace").partition(" ")
    where, _, rest = rest.partition(" ")
    line, _, error = rest.partition(" ")
    if kind != "failed" or where != phase or not line.isdigit() or len(line) > 9:
        return Ran(False, seconds, phase, error="it wrote into the channel of the result")
    return Ran(False, seconds, phase, int(line), error)


def try_out() -> None:
    """Raises SandboxError where nothing can be run in one here."""
    ran = run("def one():\n    return 1\n", "assert one() == 1\n", 10, 2**28)
    if not ran.passed:
        raise SandboxError(f"a test that must pass did not: {ran.error}")


class _Sandbox:
    """One that is started, and the pipes to the program in it."""

    def __init__(self) -> None:
        self.until = 0.0
        self._heard = b""
        self._num_heard = 0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        filter_end = -1
        try:
            filter_end = _filter_pipe()
            self._process = subprocess.Popen(
                [*_command(), "--seccomp", str(filter_end), *_python()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={},
                cwd="/",
                pass_fds=(filter_end,),
            )
        except (OSError, UnknownMachineError) as error:
            self._errors.close()
            raise SandboxError(str(error)) from None
        except SandboxError:
            self._errors.close()
            raise
        finally:
            if filter_end >= 0:
                os.close(filter_end)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)

    def say(self, data: bytes) -> None:
        """As far as it is read in time: who does not listen gives no result either."""
        left = memoryview(len(data).to_bytes(8, "big") + data)
        with contextlib.suppress(BrokenPipeError):
            while left and select.select([], [self._in], [], self._left_s())[1]:
                left = left[os.write(self._in, left) :]

    def line(self) -> bytes | None:
        """What it says next; None where it ends, or the time does, or it says too much."""
        while b"\n" not in self._heard:
            if not select.select([self._out], [], [], self._left_s())[0]:
                return None
            piece = os.read(self._out, 2**16)
            self._num_heard += len(piece)
            if not piece or self._num_heard > _MAX_SAID_BYTES:
                return None
            self._heard += piece
        said, _, self._heard = self._heard.partition(b"\n")
        return said

    def why_not(self) -> str:
        """Of one that did not start."""
        code = self._wait()
        self._errors.seek(0)
        lines = self._errors.read(4096).decode("utf-8", "replace").split("\n")
        said = next((line for line in reversed(lines) if line.strip()), "")
        return said.strip() or f"{_PROGRAM} ended with code {code}"

    def end_of(self, processor_s: int) -> str:
        """Of one that gave no result."""
        if self._left_s() <= 0:
            return f"it was not done after {processor_s * STANDS_STILL} s"
        if self._num_heard > _MAX_SAID_BYTES:
            return "it wrote into the channel of the result"
        # bwrap tells the signal that ended its child as a shell does
        code = self._wait()
        if code == 128 + signal.SIGXCPU:
            return f"it took more than {processor_s} s of processor time"
        if code == 128 + signal.SIGKILL:
            return "it was killed, as it is when memory or processor time runs out"
        return f"it ended its process, with code {code}, before the tests were done"

    def end(self) -> None:
        """With all that is in it: who ends bwrap ends the first process of its namespace."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._errors.close()

    def _wait(self) -> int:
        try:
            return self._process.wait(max(self._left_s(), 1.0))
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL  # what end() does to it

    def _left_s(self) -> float:
        return max(self.until - time.monotonic(), 0.0)


def _filter_pipe() -> int:
    """The end to read the filter from; it is shorter than a pipe holds."""
    source, target = os.pipe()
    with os.fdopen(target, "wb") as file:
        try:
            file.write(refusing_filter())
        except UnknownMachineError:
            os.close(source)
            raise
    return source


def _python() -> list[str]:
    """Without packages: the standard library alone, and the same order of sets in every run."""
    return [str(Path(sys.executable).resolve()), "-s", "-S", "-P", "-B", "-X", "utf8", _INSIDE]


@cache
def _command() -> tuple[str, ...]:
    """bwrap with all but the filter and the program. Raises SandboxError where it is missing."""
    program = shutil.which(_PROGRAM)
    if program is None:
        raise SandboxError(f"{_PROGRAM} is not installed")
    command = [
        program, "--die-with-parent", "--new-session", "--unshare-user", "--unshare-pid",
        "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--cap-drop", "ALL",
        "--size", str(_TMP_BYTES), "--tmpfs", _TMP,
    ]  # fmt: skip
    for folder in map(Path, _SYSTEM):
        if folder.is_symlink():
            command += ["--symlink", os.readlink(folder), str(folder)]
        elif folder.is_dir():
            command += ["--ro-bind", str(folder), str(folder)]
    for path in _of_python():
        command += ["--ro-bind", path, path]
    for device in _DEVICES:
        command += ["--dev-bind", device, device]
    packages = sysconfig.get_path("purelib", vars={"base": sys.base_prefix})
    if Path(packages).is_dir():  # hidden: they are no part of Python
        command += ["--tmpfs", packages, "--remount-ro", packages]
    command += ["--ro-bind", str(_WORKER), _INSIDE, "--remount-ro", "/", "--chdir", _TMP]
    # one arena: each more takes 64 MB of address space
    environment = {
        "HOME": _TMP, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1",
        "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or "",
    }  # fmt: skip
    for name, value in environment.items():
        command += ["--setenv", name, value]
    return tuple(command)


def _of_python() -> list[str]:
    """Files and folders that a Python without packages needs, outermost first."""
    base = {"platbase": sys.base_exec_prefix}  # of the Python that a virtual environment is of
    folders = [sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")]
    libraries = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    linked = map(str, libraries.glob("libpython3*.so*"))
    found = {str(Path(sys.executable).resolve()), *folders, *linked}
    return sorted(path for path in found if not path.startswith(_SYSTEM))
