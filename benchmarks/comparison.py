"""The systems that are compared: installed, started, and run in turns, each in its own process."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import environments
from benchmarks.environments import PEERS, InstallError
from benchmarks.processes import ROOT, MeasuredProcess, SystemFailedError
from benchmarks.workloads import Workloads

__all__ = ["Comparison", "Measured"]

START_TIMEOUT_S = 300
JOB_TIMEOUT_S = 900
WARM_UP = {
    "generate": [(list(range(100, 140)), 4)] * 4,
    "score": [(list(range(100, 140)), [200 + i, 300]) for i in range(4)],
}


@dataclass(slots=True)
class Measured:
    """What one system has shown so far. seconds and output: by kind of work."""

    process: MeasuredProcess
    seconds: dict[str, list[float]] = field(default_factory=dict)
    output: dict[str, list[Any]] = field(default_factory=dict)
    peak_mib: float = 0.0


class Comparison:
    def __init__(self, work: Workloads, settings: dict[str, Any], cache: Path) -> None:
        self.work = {"generate": work.generate, "score": work.score}
        self.settings = settings
        self.cache = cache
        self.systems: dict[str, Measured] = {}
        self.absent: dict[str, str] = {}

    def start(self, name: str) -> None:
        """Install, load and warm up; on a failure note the reason."""
        peer = PEERS[name]
        try:
            print(f"{name}: environment", file=sys.stderr, flush=True)
            interpreter = environments.python(peer, self.cache)
            print(f"{name}: loading", file=sys.stderr, flush=True)
            script = ROOT / "benchmarks" / "peers" / peer.script
            process = MeasuredProcess(
                name,
                [str(interpreter), str(script)],
                self.settings | dict(peer.settings),
                self.cache / f"{name}.log",
                START_TIMEOUT_S,
            )
            for kind in peer.work:
                process.ask(kind, WARM_UP[kind], START_TIMEOUT_S)
            self.systems[name] = Measured(process)
        except (InstallError, SystemFailedError) as error:
            self.absent[name] = str(error)
            print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)

    def run(self, repeats: int, until: float) -> None:
        """Rounds over all systems; after the first, only what fits before `until` (monotonic)."""
        for number in range(repeats):
            for name, measured in list(self.systems.items()):
                for kind in PEERS[name].work:
                    known = measured.seconds.get(kind)
                    if known and time.monotonic() + median(known) > until:
                        continue
                    self._one(name, measured, kind, number)

    def _one(self, name: str, measured: Measured, kind: str, number: int) -> None:
        try:
            reply = measured.process.ask(kind, self.work[kind], JOB_TIMEOUT_S)
        except SystemFailedError as error:
            self.absent[name] = str(error)
            self.systems.pop(name, None)
            return
        measured.seconds.setdefault(kind, []).append(reply.seconds)
        measured.output.setdefault(kind, reply.output)
        measured.peak_mib = max(measured.peak_mib, reply.peak_mib)
        line = f"{name}: {kind} {number + 1}: {reply.seconds:.1f} s"
        print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        for measured in self.systems.values():
            measured.process.end()
