"""Compiles kernels.cpp for this machine at first use and loads it.

Owns the compiler's command line and the cache of compiled files. One file a source, compiler and
processor, written beside and renamed, so that processes may race. Without a compiler, or where it
refuses, there are no native kernels and `reason` says why; the engine then uses torch's. A machine
that has no disk or memory left for it is another thing: that passes, and answers of other kernels
are those of another release.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.errors import MachineError

__all__ = ["Build", "build"]

SOURCE = Path(__file__).with_name("kernels.cpp")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-fopenmp", "-fPIC", "-shared")
COMPILE_TIMEOUT_S = 300
#: in what compilers, loaders and the system say of a lack of disk, memory or processes
_GIVEN_OUT = (
    *(os.strerror(number).lower() for number in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)),
    *(os.strerror(number).lower() for number in (errno.EAGAIN, errno.EMFILE, errno.ENFILE)),
    "out of memory",
    "memory exhausted",
    "failed to map segment",
    "killed",
    "bus error",
    "bad_alloc",
)


@dataclass(frozen=True, slots=True)
class Build:
    """The loaded library, or None and why. key: digest of what it was compiled from, by, for."""

    library: ctypes.CDLL | None
    reason: str = ""
    key: str = ""


@functools.cache
def build() -> Build:
    """Compiled once a machine (a few seconds), loaded once a process. FLYWHEEL_NATIVE=0 turns it
    off. Raises MachineError where the machine gives out on the way."""
    if os.environ.get("FLYWHEEL_NATIVE") == "0":
        return Build(None, "turned off by FLYWHEEL_NATIVE=0")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        return Build(None, "no C++ compiler (g++ or clang++) was found")
    try:
        # torch's OpenMP first: a library of the same name is then shared, and so are its threads
        import torch  # noqa: F401

        path = _compiled(compiler)
        return Build(ctypes.CDLL(str(path)), key=path.stem.removeprefix("kernels-"))
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"exit code {error.returncode}"
        if error.returncode < 0 or _gave_out(said):
            raise _given_out(said) from error
        return Build(None, f"{compiler} failed: {said.splitlines()[0][:300]}")
    except (OSError, MemoryError, subprocess.TimeoutExpired) as error:
        if isinstance(error, MemoryError) or _gave_out(str(error)):
            raise _given_out(str(error)) from error
        return Build(None, f"{type(error).__name__}: {error}")


def _gave_out(said: str) -> bool:
    return any(words in said.lower() for words in _GIVEN_OUT)


def _given_out(said: str) -> MachineError:
    return MachineError(f"The machine gave out while the kernels were made ready: {said[:300]}")


def _compiled(compiler: str) -> Path:
    source = SOURCE.read_bytes()
    version = _output(compiler, "--version")
    target = _output(compiler, "-march=native", "-E", "-dM", "-x", "c++", os.devnull)
    key = hashlib.sha256("\0".join((version, target, *FLAGS)).encode() + source).hexdigest()[:24]
    path = _cache_folder() / f"kernels-{key}.so"
    if path.exists():
        return path
    handle, name = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    try:
        _output(compiler, *FLAGS, str(SOURCE), "-o", name)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def _cache_folder() -> Path:
    """A folder only this user can write to: what lies in it is run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "llm-flywheel" / platform.machine()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    folder = Path(tempfile.mkdtemp(prefix="llm-flywheel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _output(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=COMPILE_TIMEOUT_S
    )
    return done.stdout
