"""This engine and its peers side by side in one run: generation (G) and scoring (S) of the same
real work with the same weights, each system in a process of its own with as many threads.

    python -m benchmarks.engine                  everything, as many repeats as fit into 25 minutes
    python -m benchmarks.engine --quick          one repeat of a quarter of the work
    python -m benchmarks.engine --invariance     this engine with batch invariance on and off
    python -m benchmarks.engine --scale          time per token by queue length, scheduler's share

Repeats are interleaved: every system once, then every system again. A system that cannot be
installed or run here is listed with the reason. Prints a table and writes JSON to results/.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

if __package__ in (None, ""):  # run as a file: this folder must not hide the package `engine`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch

from benchmarks import environments, results, workloads
from benchmarks.environments import PEERS, InstallError
from benchmarks.processes import ROOT, MeasuredProcess, SystemFailedError, environment_for
from benchmarks.roofline import Roofline, Shape
from benchmarks.workloads import Workloads
from engine.execution.device import pick_dtype
from engine.loading.gguf import gguf_config, read_gguf

START_TIMEOUT_S = 300
JOB_TIMEOUT_S = 900
WARM_UP = {
    "generate": [(list(range(100, 140)), 4)] * 4,
    "score": [(list(range(100, 140)), [200 + i, 300]) for i in range(4)],
}
SYSTEMS = tuple(name for name in PEERS if name != "ours-not-invariant")


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


def measure_roofline(shape: Shape, dtype: str, threads: int) -> Roofline:
    question = {
        "shape": {name: getattr(shape, name) for name in Shape.__slots__},
        "dtype": dtype,
        "threads": threads,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.roofline"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment_for(threads),
    )
    found = json.loads(done.stdout)
    rates = {int(rows): rate for rows, rate in found["flops_per_s"].items()}
    return Roofline(shape, found["itemsize"], rates, found["bytes_per_s"])


def model_shape(gguf: Path) -> Shape:
    config = gguf_config(read_gguf(gguf))
    return Shape(
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        layers=config.num_layers,
        heads=config.num_heads,
        kv_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        vocab=config.vocab_size,
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=",".join(SYSTEMS), help="of: " + ", ".join(PEERS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--minutes", type=float, default=25, help="no repeat begins that ends later"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the work, from its beginning")
    parser.add_argument("--quick", action="store_true", help="one repeat of a quarter of the work")
    parser.add_argument("--invariance", action="store_true")
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--install-only", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--check", type=int, default=64, help="prompts whose tokens are compared")
    parser.add_argument("--cache", type=Path, default=environments.CACHE)
    parser.add_argument("--out", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    options.peers = options.peers.split(",")
    if options.invariance:
        options.peers = ["ours", "ours-not-invariant"]
    if options.quick:
        options.repeats, options.share = 1, min(options.share, 0.25)
    unknown = [name for name in options.peers if name not in PEERS]
    if unknown:
        parser.error(f"unknown peers: {', '.join(unknown)}; there are: {', '.join(PEERS)}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    # whoever ends this run also ends the systems that it has started (and stopped)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    options.cache.mkdir(parents=True, exist_ok=True)
    gguf = environments.gguf_file(options.cache)
    if options.install_only:
        for name in options.peers:
            try:
                environments.python(PEERS[name], options.cache)
            except InstallError as error:
                print(f"{name}: {error}")
        return
    if options.scale:
        from benchmarks import engine_scale

        engine_scale.run(gguf, options)
        return
    folder = environments.float32_folder(gguf, options.cache)
    dtype = str(pick_dtype(options.dtype, torch.device("cpu"))).removeprefix("torch.")
    conversations = environments.conversations(options.cache)
    work = workloads.build(gguf, conversations).share(options.share)
    bound = measure_roofline(model_shape(gguf), dtype, options.threads)
    settings = {
        "gguf": str(gguf),
        "model": str(folder),
        "dtype": dtype,
        "threads": options.threads,
    }
    comparison = Comparison(work, settings, options.cache)
    try:
        for name in options.peers:
            comparison.start(name)
        comparison.run(options.repeats, started + 60 * options.minutes)
        report = results.compare(comparison, work, bound, options)
    finally:
        comparison.end()
    print(results.table(report))
    results.write(report, options.out, "engine")


if __name__ == "__main__":
    main()
