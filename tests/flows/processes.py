"""Who is related to a process."""

from __future__ import annotations

import os
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Those that its threads have started and that it has not yet collected."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


def servers_of(pid: int) -> list[int]:
    """Those of its children that lead a group of their own."""
    leaders = []
    for child in children_of(pid):
        try:
            if os.getpgid(child) == child:
                leaders.append(child)
        except ProcessLookupError:
            continue
    return leaders


def group_of(pid: int) -> list[int]:
    """Who is in the process group of `pid`."""
    members = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == pid:
                members.append(int(folder.name))
        except ProcessLookupError:
            continue
    return members
