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
import signal
import sys
import time
from pathlib import Path

if __package__ in (None, ""):  # run as a file: this folder must not hide the package `engine`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch

from benchmarks import environments, results, workloads
from benchmarks.comparison import Comparison
from benchmarks.environments import PEERS, InstallError
from engine.execution.device import pick_dtype
from engine.loading.gguf import gguf_config, read_gguf
from engine.measuring.roofline import Roofline, Shape, measure

ROWS = (1, 4, 8, 16, 32, 64, 128, 256, 512)
#: of the roofline, before the work and again after it
NUM_READINGS = 2
SYSTEMS = tuple(name for name in PEERS if name != "ours-not-invariant")


def read_rooflines(gguf: Path, dtype: str) -> list[Roofline]:
    """Of this moment; the numbers of rows that occur."""
    shape = Shape.of(gguf_config(read_gguf(gguf)))
    return [measure(shape, getattr(torch, dtype), ROWS) for _ in range(NUM_READINGS)]


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
    torch.set_num_threads(options.threads)
    readings = read_rooflines(gguf, dtype)
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
        readings += read_rooflines(gguf, dtype)
        report = results.compare(comparison, work, readings, options)
    finally:
        comparison.end()
    print(results.table(report))
    results.write(report, options.out, "engine")


if __name__ == "__main__":
    main()
