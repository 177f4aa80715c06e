"""The loop that every measured system runs in a process of its own: load once, then one job a line.

Runs under the interpreter of the system's own environment, so it may import nothing but the
standard library. Reads one JSON object a line from standard input and answers with one JSON object
a line; whatever libraries print goes to standard error. While it is not asked, the parent stops it
(SIGSTOP), so that it cannot disturb whoever is measured.
"""

from __future__ import annotations

import glob
import json
import os
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol


class System(Protocol):
    """Token ids in, token ids or log-likelihoods out; a system that cannot do one leaves it out."""

    def generate(self, work: list[tuple[list[int], int]]) -> list[list[int]]:
        """Exactly that many new tokens a prompt, greedy."""

    def score(self, work: list[tuple[list[int], list[int]]]) -> list[float]:
        """Log-likelihood of every continuation after its context."""


def peak_mib() -> float:
    """Largest resident memory of this process and of those it started."""
    total = 0
    for path in glob.glob("/proc/[0-9]*/status"):
        try:
            with open(path.replace("status", "stat")) as file:
                group = int(file.read().rpartition(")")[2].split()[2])
            if group != os.getpgrp():
                continue
            with open(path) as file:
                found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
        except OSError:  # gone in the meantime
            continue
        total += int(found.group(1)) if found else 0
    return total / 1024


def serve(start: Callable[[dict[str, Any]], System], packages: tuple[str, ...]) -> None:
    """First line in: the settings (model, gguf, dtype, threads); then {"work": …, "items": …}."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.readline())
    started = time.perf_counter()
    system = start(settings)
    hello = {
        "load_s": time.perf_counter() - started,
        "dtype": getattr(system, "dtype", settings["dtype"]),
        "versions": {name: version(name) for name in packages},
    }
    print(json.dumps(hello), file=replies, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        started = time.perf_counter()
        output = getattr(system, job["work"])(job["items"])
        seconds = time.perf_counter() - started
        reply = {"seconds": seconds, "output": output, "peak_mib": peak_mib()}
        print(json.dumps(reply), file=replies, flush=True)
