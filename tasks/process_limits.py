"""Limits that a process sets itself before it does what may run away, enforced by the kernel."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from typing import BinaryIO

#: times the processor time it may take, by the clock, in which a process must have been heard of
STANDS_STILL = 12


def ignore_the_keyboard() -> None:
    """Whoever started this process is told, and ends it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def limit_memory(max_bytes: int) -> None:
    """Of address space as a whole; what asks for more gets a MemoryError. No core is dumped."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _below(max_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def allow_processor_s(seconds: int) -> None:
    """From now on; who takes more is ended by SIGXCPU."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time()) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (_below(soft, hard), hard))


def address_space_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def own_output() -> BinaryIO:
    """Standard output for this caller alone: a stray print goes to standard error."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def _below(wanted: int, hard: int) -> int:
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
