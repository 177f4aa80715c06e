"""What a piece of work costs the machine: seconds, processor seconds, memory, of this process and
those it starts.
"""

from __future__ import annotations

import json
import os
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Cost", "measure"]


@dataclass(frozen=True, slots=True)
class Cost:
    """`peak_mib`: the largest sum of resident memory, pages that processes share counted twice."""

    seconds: float
    processor_s: float
    peak_mib: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def measure(work: Callable[[], None]) -> Cost:
    peak_bytes = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak_bytes
        while not done.wait(0.02):
            peak_bytes = max(peak_bytes, sum(map(_resident_bytes, ["self", *_children()])))

    _forget_own_peak()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started, used = time.perf_counter(), _processor_s()
    work()
    seconds, processor_s = time.perf_counter() - started, _processor_s() - used
    done.set()
    watcher.join()
    return Cost(seconds, processor_s, max(peak_bytes, _own_peak_bytes()) / 2**20)


def _forget_own_peak() -> None:
    """Linux's highest resident memory of this process starts anew from what it holds now."""
    Path("/proc/self/clear_refs").write_text("5")


def _own_peak_bytes() -> int:
    """Not getrusage's, which a process inherits from the one that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _children() -> list[str]:
    """Started by any thread of this process."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            found += path.read_text().split()
        except OSError:
            continue  # the thread has ended
    return found


def _resident_bytes(process_id: str) -> int:
    try:
        pages = Path(f"/proc/{process_id}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _processor_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
