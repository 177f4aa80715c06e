"""Telling whether a process recorded earlier still is that process."""

from __future__ import annotations

import os
from pathlib import Path


def process_started_at(pid: int) -> float | None:
    """Start of a process in seconds since boot, None where it is gone.

    From /proc on Linux; elsewhere a living pid counts as started at 0.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        # a zombie is gone, only not yet collected by its parent
        return None if fields[0] == "Z" else int(fields[19]) / os.sysconf("SC_CLK_TCK")
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0.0
    return 0.0
